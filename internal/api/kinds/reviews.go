package kinds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// reviewREST serves a kind that is a question: it is answered and not stored.
type reviewREST[T object] struct {
	new        func() T
	singular   string
	namespaced bool
	answer     func(context.Context, T) error // fills in the status
}

func (r *reviewREST[T]) New() runtime.Object     { return r.new() }
func (r *reviewREST[T]) Destroy()                {}
func (r *reviewREST[T]) NamespaceScoped() bool   { return r.namespaced }
func (r *reviewREST[T]) GetSingularName() string { return r.singular }

func (r *reviewREST[T]) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(T)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a %T: %T", r.new(), obj))
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	return review, r.answer(ctx, review)
}

// Reviewers answer the questions about who someone is and what they may do.
// None of them may be nil.
type Reviewers struct {
	// Authenticator knows whose token a request carries. It looks at nothing
	// else of the request.
	Authenticator authenticator.Request
	// APIAudiences are the audiences of a TokenReview that names none.
	APIAudiences authenticator.Audiences
	Authorizer   authorizer.UnconditionalAuthorizer
	Rules        authorizer.RuleResolver
}

// ServeReviews serves the kinds that are asked, not stored. It comes after
// Build, since the answers may depend on what is stored.
func (s *Set) ServeReviews(r Reviewers) {
	authn, authz := authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion
	access := accessReviewer{r.Authorizer}
	s.add(authn, "selfsubjectreviews", &reviewREST[*authenticationv1.SelfSubjectReview]{
		new: func() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} }, singular: "selfsubjectreview",
		answer: reviewSelf})
	s.add(authn, "tokenreviews", &reviewREST[*authenticationv1.TokenReview]{
		new: func() *authenticationv1.TokenReview { return &authenticationv1.TokenReview{} }, singular: "tokenreview",
		answer: tokenReviewer{r.Authenticator, r.APIAudiences}.review})
	s.add(authz, "subjectaccessreviews", &reviewREST[*authorizationv1.SubjectAccessReview]{
		new: func() *authorizationv1.SubjectAccessReview { return &authorizationv1.SubjectAccessReview{} }, singular: "subjectaccessreview",
		answer: access.review})
	s.add(authz, "localsubjectaccessreviews", &reviewREST[*authorizationv1.LocalSubjectAccessReview]{
		new: func() *authorizationv1.LocalSubjectAccessReview { return &authorizationv1.LocalSubjectAccessReview{} }, singular: "localsubjectaccessreview",
		namespaced: true, answer: access.reviewLocal})
	s.add(authz, "selfsubjectaccessreviews", &reviewREST[*authorizationv1.SelfSubjectAccessReview]{
		new: func() *authorizationv1.SelfSubjectAccessReview { return &authorizationv1.SelfSubjectAccessReview{} }, singular: "selfsubjectaccessreview",
		answer: access.reviewSelf})
	s.add(authz, "selfsubjectrulesreviews", &reviewREST[*authorizationv1.SelfSubjectRulesReview]{
		new: func() *authorizationv1.SelfSubjectRulesReview { return &authorizationv1.SelfSubjectRulesReview{} }, singular: "selfsubjectrulesreview",
		answer: rulesReviewer{r.Rules}.review})
}

func userFrom(ctx context.Context) (user.Info, error) {
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	return u, nil
}

func extra[From, To ~[]string](in map[string]From) map[string]To {
	if in == nil {
		return nil
	}
	out := make(map[string]To, len(in))
	for k, v := range in {
		out[k] = To(v)
	}
	return out
}

func userInfo(u user.Info) authenticationv1.UserInfo {
	return authenticationv1.UserInfo{
		Username: u.GetName(),
		UID:      u.GetUID(),
		Groups:   u.GetGroups(),
		Extra:    extra[[]string, authenticationv1.ExtraValue](u.GetExtra()),
	}
}

// reviewSelf answers "who am I?".
func reviewSelf(ctx context.Context, r *authenticationv1.SelfSubjectReview) error {
	u, err := userFrom(ctx)
	if err != nil {
		return err
	}
	r.Status.UserInfo = userInfo(u)
	return nil
}

type tokenReviewer struct {
	authenticator authenticator.Request
	audiences     authenticator.Audiences
}

// review answers "whose token is this?". It hands the authenticator a request
// that carries the token and nothing else.
func (t tokenReviewer) review(ctx context.Context, r *authenticationv1.TokenReview) error {
	if r.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	wanted := authenticator.Audiences(r.Spec.Audiences)
	if len(wanted) == 0 {
		wanted = t.audiences
	}
	if len(wanted) > 0 {
		ctx = authenticator.WithAudiences(ctx, wanted)
	}
	request := (&http.Request{Header: http.Header{}}).WithContext(ctx)
	request.Header.Set("Authorization", "Bearer "+r.Spec.Token)
	response, ok, err := t.authenticator.AuthenticateRequest(request)
	r.Status = authenticationv1.TokenReviewStatus{Authenticated: ok}
	if err != nil {
		r.Status.Error = err.Error()
	}
	if !ok || response == nil || response.User == nil {
		return nil
	}
	// An authenticator that knows no audiences speaks for the server's own.
	answered := response.Audiences
	if len(answered) == 0 && len(wanted.Intersect(t.audiences)) > 0 {
		answered = wanted.Intersect(t.audiences)
	}
	if len(wanted) > 0 && len(wanted.Intersect(answered)) == 0 {
		r.Status.Authenticated = false
		r.Status.Error = errors.New("token audiences do not match").Error()
		return nil
	}
	r.Status.User = userInfo(response.User)
	r.Status.Audiences = answered
	return nil
}

type accessReviewer struct {
	authorizer authorizer.UnconditionalAuthorizer
}

// access answers "may this user do that?".
func (a accessReviewer) access(ctx context.Context, attributes authorizer.Attributes) authorizationv1.SubjectAccessReviewStatus {
	decision, reason, err := a.authorizer.Authorize(ctx, attributes)
	status := authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow,
		Denied:  decision == authorizer.DecisionDeny,
		Reason:  reason,
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	return status
}

func (a accessReviewer) review(ctx context.Context, r *authorizationv1.SubjectAccessReview) error {
	if r.Spec.User == "" && len(r.Spec.Groups) == 0 {
		return apierrors.NewBadRequest("spec.user or spec.groups must be given")
	}
	attributes, err := accessAttributes(subject(&r.Spec), r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	if err != nil {
		return err
	}
	r.Status = a.access(ctx, attributes)
	return nil
}

func (a accessReviewer) reviewLocal(ctx context.Context, r *authorizationv1.LocalSubjectAccessReview) error {
	resource := r.Spec.ResourceAttributes
	if resource == nil || resource.Namespace != genericapirequest.NamespaceValue(ctx) {
		return apierrors.NewBadRequest("spec.resourceAttributes.namespace must match the namespace of the request")
	}
	attributes, err := accessAttributes(subject(&r.Spec), resource, r.Spec.NonResourceAttributes)
	if err != nil {
		return err
	}
	r.Status = a.access(ctx, attributes)
	return nil
}

func (a accessReviewer) reviewSelf(ctx context.Context, r *authorizationv1.SelfSubjectAccessReview) error {
	u, err := userFrom(ctx)
	if err != nil {
		return err
	}
	attributes, err := accessAttributes(u, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
	if err != nil {
		return err
	}
	r.Status = a.access(ctx, attributes)
	return nil
}

func subject(s *authorizationv1.SubjectAccessReviewSpec) user.Info {
	return &user.DefaultInfo{
		Name:   s.User,
		UID:    s.UID,
		Groups: s.Groups,
		Extra:  extra[authorizationv1.ExtraValue, []string](s.Extra),
	}
}

func accessAttributes(u user.Info, r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes) (authorizer.Attributes, error) {
	switch {
	case (r == nil) == (n == nil):
		return nil, apierrors.NewBadRequest("exactly one of resourceAttributes and nonResourceAttributes must be given")
	case n != nil:
		return authorizer.AttributesRecord{User: u, Verb: n.Verb, Path: n.Path}, nil
	}
	record := authorizer.AttributesRecord{
		User:            u,
		Verb:            r.Verb,
		Namespace:       r.Namespace,
		APIGroup:        r.Group,
		APIVersion:      cmp.Or(r.Version, "*"),
		Resource:        r.Resource,
		Subresource:     r.Subresource,
		Name:            r.Name,
		ResourceRequest: true,
	}
	record.LabelSelectorRequirements, record.LabelSelectorParsingErr = labelRequirements(r.LabelSelector)
	record.FieldSelectorRequirements, record.FieldSelectorParsingErr = fieldRequirements(r.FieldSelector)
	return record, nil
}

// labelRequirements reads a selector by labels. What of it cannot be read is left
// out: the question is then about more objects, never fewer.
func labelRequirements(s *authorizationv1.LabelSelectorAttributes) (labels.Requirements, error) {
	if s == nil {
		return nil, nil
	}
	if s.RawSelector != "" {
		parsed, err := labels.Parse(s.RawSelector)
		if err != nil {
			return nil, err
		}
		all, _ := parsed.Requirements()
		return all, nil
	}
	operators := map[metav1.LabelSelectorOperator]selection.Operator{
		metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
		metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	var all labels.Requirements
	var faults []error
	for _, r := range s.Requirements {
		one, err := labels.NewRequirement(r.Key, operators[r.Operator], r.Values)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		all = append(all, *one)
	}
	return all, errors.Join(faults...)
}

// fieldRequirements is labelRequirements for fields, each of which can be told to
// have, or not to have, one value.
func fieldRequirements(s *authorizationv1.FieldSelectorAttributes) (fields.Requirements, error) {
	if s == nil {
		return nil, nil
	}
	if s.RawSelector != "" {
		parsed, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return nil, err
		}
		return parsed.Requirements(), nil
	}
	operators := map[metav1.FieldSelectorOperator]selection.Operator{
		metav1.FieldSelectorOpIn: selection.Equals, metav1.FieldSelectorOpNotIn: selection.NotEquals,
	}
	var all fields.Requirements
	var faults []error
	for _, r := range s.Requirements {
		operator, known := operators[r.Operator]
		if !known || len(r.Values) != 1 {
			faults = append(faults, fmt.Errorf("a requirement on field %s with operator %s and %d values is not supported", r.Key, r.Operator, len(r.Values)))
			continue
		}
		all = append(all, fields.Requirement{Field: r.Key, Operator: operator, Value: r.Values[0]})
	}
	return all, errors.Join(faults...)
}

type rulesReviewer struct {
	rules authorizer.RuleResolver
}

// review answers "what may I do in this namespace?".
func (v rulesReviewer) review(ctx context.Context, r *authorizationv1.SelfSubjectRulesReview) error {
	u, err := userFrom(ctx)
	if err != nil {
		return err
	}
	if r.Spec.Namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	resources, urls, incomplete, err := v.rules.RulesFor(ctx, u, r.Spec.Namespace)
	r.Status = authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{},
		NonResourceRules: []authorizationv1.NonResourceRule{},
		Incomplete:       incomplete,
	}
	for _, rule := range resources {
		r.Status.ResourceRules = append(r.Status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: rule.GetVerbs(), APIGroups: rule.GetAPIGroups(), Resources: rule.GetResources(), ResourceNames: rule.GetResourceNames()})
	}
	for _, rule := range urls {
		r.Status.NonResourceRules = append(r.Status.NonResourceRules, authorizationv1.NonResourceRule{
			Verbs: rule.GetVerbs(), NonResourceURLs: rule.GetNonResourceURLs()})
	}
	if err != nil {
		r.Status.EvaluationError = err.Error()
	}
	return nil
}
