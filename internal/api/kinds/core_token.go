package kinds

import (
	"context"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/garrison-project/garrison/internal/api/token"
	"github.com/garrison-project/garrison/internal/api/validation"
)

const (
	// injectedSeconds is the life that admission asks for on behalf of pods that
	// ask for nothing. Their programs may never read a token twice, so it is made
	// to last extendedLife.
	injectedSeconds = 3607
	extendedLife    = 365 * 24 * time.Hour
)

// tokenREST serves serviceaccounts/token: it issues tokens and stores nothing.
type tokenREST struct {
	issuer   *token.Issuer
	accounts *genericregistry.Store
	pods     *genericregistry.Store
	secrets  *genericregistry.Store
	nodes    *genericregistry.Store
}

var (
	_ rest.NamedCreater                   = &tokenREST{}
	_ rest.GroupVersionKindProvider       = &tokenREST{}
	_ rest.SubresourceObjectMetaPreserver = &tokenREST{}

	tokenRequest = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
)

func (r *tokenREST) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy does nothing: the stores are others'.
func (r *tokenREST) Destroy() {}

func (r *tokenREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return tokenRequest
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the UID of the
// request, which is a precondition on the account.
func (r *tokenREST) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create issues a token of the named account.
func (r *tokenREST) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	request, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", obj))
	}
	account, err := r.account(ctx, name, request)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	request.Name, request.Namespace, request.UID = account.Name, account.Namespace, account.UID
	request.CreationTimestamp = metav1.NewTime(now)
	request.Status = authenticationv1.TokenRequestStatus{}
	if len(request.Spec.Audiences) == 0 {
		request.Spec.Audiences = []string{r.issuer.Name()}
	}
	if errs := validation.TokenRequest(request); len(errs) > 0 {
		return nil, apierrors.NewInvalid(tokenRequest.GroupKind(), "", errs)
	}
	if validate != nil {
		if err := validate(ctx, request.DeepCopy()); err != nil {
			return nil, err
		}
	}
	claims := token.Claims{
		Namespace: account.Namespace,
		Account:   token.Ref{Name: account.Name, UID: account.UID},
		Audiences: request.Spec.Audiences,
		Issued:    now,
		Expires:   now.Add(time.Duration(*request.Spec.ExpirationSeconds) * time.Second),
	}
	request.Status.ExpirationTimestamp = metav1.NewTime(claims.Expires)
	if ref := request.Spec.BoundObjectRef; ref != nil {
		if err := r.bind(ctx, &claims, ref); err != nil {
			return nil, err
		}
	}
	r.extend(&claims, *request.Spec.ExpirationSeconds)
	if request.Status.Token, err = r.issuer.Issue(claims); err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	return request, nil
}

// account returns the account that a request is about, unless the request says
// that it is about another.
func (r *tokenREST) account(ctx context.Context, name string, request *authenticationv1.TokenRequest) (*corev1.ServiceAccount, error) {
	var errs field.ErrorList
	if request.Name != "" && request.Name != name {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), request.Name, "must match the service account name if specified"))
	}
	if request.Namespace != "" && request.Namespace != genericapirequest.NamespaceValue(ctx) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "namespace"), request.Namespace, "must match the service account namespace if specified"))
	}
	if len(errs) > 0 {
		return nil, apierrors.NewInvalid(tokenRequest.GroupKind(), name, errs)
	}
	account, err := stored[*corev1.ServiceAccount](ctx, r.accounts, name)
	if err != nil {
		return nil, err
	}
	if request.UID != "" && request.UID != account.UID {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: tokenRequest.Group, Resource: tokenRequest.Kind}, name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", request.UID, account.UID))
	}
	return account, nil
}

// bind makes a token good for no longer than an object exists.
func (r *tokenREST) bind(ctx context.Context, c *token.Claims, ref *authenticationv1.BoundObjectReference) error {
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	var uid types.UID
	switch kind.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		pod, err := stored[*corev1.Pod](ctx, r.pods, ref.Name)
		if err != nil {
			return err
		}
		if pod.Spec.ServiceAccountName != c.Account.Name {
			return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", c.Account.Name))
		}
		if c.Node, err = r.whereabouts(ctx, pod); err != nil {
			return err
		}
		c.Pod, uid = &token.Ref{Name: pod.Name, UID: pod.UID}, pod.UID
	case schema.GroupKind{Kind: "Secret"}:
		secret, err := stored[*corev1.Secret](ctx, r.secrets, ref.Name)
		if err != nil {
			return err
		}
		c.Secret, uid = &token.Ref{Name: secret.Name, UID: secret.UID}, secret.UID
	case schema.GroupKind{Kind: "Node"}:
		node, err := stored[*corev1.Node](ctx, r.nodes, ref.Name)
		if err != nil {
			return err
		}
		c.Node, uid = &token.Ref{Name: node.Name, UID: node.UID}, node.UID
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", kind))
	}
	if ref.UID != "" && ref.UID != uid {
		return apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, ref.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return nil
}

// whereabouts names the node of a pod, without a UID if there is no such node,
// or nil if the pod has none.
func (r *tokenREST) whereabouts(ctx context.Context, pod *corev1.Pod) (*token.Ref, error) {
	if pod.Spec.NodeName == "" {
		return nil, nil
	}
	node, err := stored[*corev1.Node](ctx, r.nodes, pod.Spec.NodeName)
	switch {
	case apierrors.IsNotFound(err):
		return &token.Ref{Name: pod.Spec.NodeName}, nil
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	}
	return &token.Ref{Name: node.Name, UID: node.UID}, nil
}

// extend lets the tokens that pods got without asking outlive what is said of
// them.
func (r *tokenREST) extend(c *token.Claims, seconds int64) {
	if c.Pod == nil || seconds != injectedSeconds || slices.ContainsFunc(c.Audiences, func(a string) bool { return a != r.issuer.Name() }) {
		return
	}
	c.WarnAfter, c.Expires = c.Expires, c.Issued.Add(extendedLife)
}

// stored reads an object from its store. The namespace, of kinds that have one,
// is that of ctx.
func stored[T object](ctx context.Context, s *genericregistry.Store, name string) (T, error) {
	// What is not found is named after the resource of the request.
	resource := s.DefaultQualifiedResource
	ctx = genericapirequest.WithRequestInfo(ctx, &genericapirequest.RequestInfo{APIGroup: resource.Group, Resource: resource.Resource})
	var none T
	obj, err := s.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return none, err
	}
	found, ok := obj.(T)
	if !ok {
		return none, fmt.Errorf("unexpected object type %T", obj)
	}
	return found, nil
}
