package node

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func TestName(t *testing.T) {
	for _, c := range []struct {
		user   user.Info
		name   string
		isNode bool
	}{
		{User("a"), "a", true},
		{User(""), "", true},
		{nil, "", false},
		{&user.DefaultInfo{Name: "system:node:a"}, "", false},
		{&user.DefaultInfo{Name: "eve", Groups: []string{"system:nodes"}}, "eve", false},
	} {
		name, isNode := Name(c.user)
		if isNode != c.isNode || isNode && name != c.name {
			t.Errorf("%v: %q, %t", c.user, name, isNode)
		}
	}
}

// ask parses "verb resource[/subresource] [namespace/][name]" and, after a
// question mark, a field selector. The group is what comes after a dot.
func ask(t *testing.T, u user.Info, text string) authorizer.Attributes {
	t.Helper()
	text, selector, _ := strings.Cut(text, "?")
	words := strings.Fields(text)
	r := authorizer.AttributesRecord{User: u, Verb: words[0]}
	if strings.HasPrefix(words[1], "/") {
		r.Path = words[1]
		return r
	}
	r.ResourceRequest = true
	resource, subresource, _ := strings.Cut(words[1], "/")
	r.Resource, r.APIGroup, _ = strings.Cut(resource, ".")
	r.Subresource = subresource
	if len(words) > 2 {
		namespace, name, namespaced := strings.Cut(words[2], "/")
		if !namespaced {
			namespace, name = "", words[2]
		}
		r.Namespace, r.Name = namespace, name
	}
	if selector != "" {
		parsed, err := fields.ParseSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		r.FieldSelectorRequirements = parsed.Requirements()
	}
	return r
}

// onA is a pod on node a that names an object of each kind.
func onA() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "1"}}
	pod.Spec.NodeName = "a"
	pod.Spec.ServiceAccountName = "account"
	pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "m", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "map"}}}},
		{Name: "c", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim"}}},
	}
	return pod
}

const (
	yes        = "yes"
	noRelation = "no relationship found between node 'a' and this object"
)

// answers are what node a may do, while the pod of onA is bound to it, and why
// not what it may not.
var answers = map[string]string{
	"get secrets ns/pull":                           yes,
	"list secrets ns/pull":                          yes,
	"watch secrets ns/pull":                         yes,
	"get secrets ns/other":                          noRelation,
	"get secrets other/pull":                        noRelation,
	"get secrets ns/coveted":                        noRelation,
	"list secrets ns/":                              "No Object name found",
	"list secrets":                                  "can only read namespaced object of this type",
	"update secrets ns/pull":                        "can only read resources of this type",
	"get secrets/x ns/pull":                         "cannot read subresource",
	"get configmaps ns/map":                         yes,
	"get configmaps ns/pull":                        noRelation,
	"get persistentvolumeclaims ns/claim":           yes,
	"list persistentvolumeclaims ns/claim":          "can only get individual resources of this type",
	"get persistentvolumeclaims/x ns/claim":         "cannot get subresource",
	"update persistentvolumeclaims/status ns/claim": yes,
	"get persistentvolumeclaims/status ns/claim":    "can only get/update/patch this type",
	"get serviceaccounts ns/account":                yes,
	"get serviceaccounts ns/other":                  noRelation,
	"create serviceaccounts/token ns/account":       yes,
	"create serviceaccounts/token ns/other":         noRelation,
	"create serviceaccounts/token ns/":              "can only create tokens for individual service accounts",
	"create serviceaccounts/x ns/account":           "can only create token subresource of serviceaccount",
	"delete serviceaccounts ns/account":             "can only create tokens for individual service accounts",

	"create nodes":         yes,
	"update nodes b":       yes, // refused by NodeRestriction
	"get nodes a":          yes,
	"watch nodes a":        yes,
	"get nodes b":          "node 'a' cannot read 'b', only its own Node object",
	"list nodes":           "node 'a' cannot read all nodes, only its own Node object",
	"delete nodes a":       "",
	"patch nodes/status a": yes,
	"get nodes/status a":   "",
	"create nodes/proxy a": "",

	"get pods ns/p":                          yes,
	"get pods ns/mirror":                     yes,
	"get pods ns/other":                      noRelation,
	"list pods":                              "can only list/watch pods with spec.nodeName field selector",
	"list pods ?spec.nodeName=a":             yes,
	"watch pods ns/ ?spec.nodeName=a":        yes,
	"list pods ?spec.nodeName=b":             "can only list/watch pods with spec.nodeName field selector",
	"list pods ?spec.nodeName!=a":            "can only list/watch pods with spec.nodeName field selector",
	"list pods ns/p":                         yes,
	"watch pods ns/other":                    noRelation,
	"create pods ns/":                        yes,
	"delete pods ns/other":                   yes, // refused by NodeRestriction
	"update pods ns/p":                       "",
	"deletecollection pods ?spec.nodeName=a": "",
	"update pods/status ns/p":                yes,
	"create pods/eviction ns/p":              yes,
	"create pods/exec ns/p":                  "",
	"get pods/log ns/p":                      "",

	"create leases.coordination.k8s.io kube-node-lease/":  yes,
	"update leases.coordination.k8s.io kube-node-lease/a": yes,
	"update leases.coordination.k8s.io kube-node-lease/b": "can only access node lease with the same name as the requesting node",
	"update leases.coordination.k8s.io ns/a":              `can only access leases in the "kube-node-lease" system namespace`,
	"list leases.coordination.k8s.io kube-node-lease/":    "can only get, create, update, patch, or delete a node lease",
	"create csinodes.storage.k8s.io":                      yes,
	"get csinodes.storage.k8s.io a":                       yes,
	"get csinodes.storage.k8s.io b":                       "can only access CSINode with the same name as the requesting node",
	"list csinodes.storage.k8s.io":                        "can only get, create, update, patch, or delete a CSINode",
	"get csinodes.storage.k8s.io/x a":                     "cannot authorize CSINode subresources",

	"list services":                                    yes,
	"create events ns/":                                yes,
	"patch events.events.k8s.io ns/e":                  yes,
	"delete events ns/e":                               "",
	"watch runtimeclasses.node.k8s.io":                 yes,
	"create tokenreviews.authentication.k8s.io":        yes,
	"create subjectaccessreviews.authorization.k8s.io": yes,
	"list daemonsets.apps":                             "",
	"list namespaces":                                  "",
	"get /metrics":                                     "",
}

func TestAuthorize(t *testing.T) {
	g := NewGraph()
	g.Set(onA())
	mirror := onA()
	mirror.Name, mirror.Spec.ImagePullSecrets = "mirror", []corev1.LocalObjectReference{{Name: "coveted"}}
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	g.Set(mirror)
	a := NewAuthorizer(g)

	for what, want := range answers {
		t.Run(what, func(t *testing.T) {
			decision, reason, err := a.Authorize(t.Context(), ask(t, User("a"), what))
			if decision == authorizer.DecisionAllow && err == nil {
				reason += yes
			}
			if reason != want || err != nil || decision == authorizer.DecisionDeny {
				t.Errorf("got %v, %q, %v; want %q", decision, reason, err, want)
			}
		})
	}
}

func TestWhoIsNoNode(t *testing.T) {
	a := NewAuthorizer(NewGraph())
	for _, c := range []struct {
		user   user.Info
		reason string
	}{
		{&user.DefaultInfo{Name: "eve"}, ""},
		{&user.DefaultInfo{Name: "system:node:a"}, ""},
		{User(""), `unknown node for user "system:node:"`},
	} {
		if decision, reason, _ := a.Authorize(t.Context(), ask(t, c.user, "create nodes")); decision != authorizer.DecisionNoOpinion || reason != c.reason {
			t.Errorf("%v: %v, %q", c.user, decision, reason)
		}
	}
	if _, _, incomplete, err := a.RulesFor(t.Context(), User("a"), ""); !incomplete || err == nil {
		t.Errorf("rules of a node: incomplete %t, %v", incomplete, err)
	}
	if _, _, incomplete, err := a.RulesFor(t.Context(), &user.DefaultInfo{Name: "eve"}, ""); incomplete || err != nil {
		t.Errorf("rules of another: incomplete %t, %v", incomplete, err)
	}
}
