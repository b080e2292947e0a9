// Package prepull is what the DaemonSet controller and the agents of nodes say to
// each other about images that are fetched before a pod makes way for a new one.
//
// An agent that can do it says so on its Node ([Able]). The controller annotates
// the pod that is to go with a [Request]; the agent fetches the images, with the
// credentials of that pod, and gives an [Answer] in a condition of its status.
//
// When to ask, and what to do with the answer, is decided in core/rollout; how
// images are fetched is the agent's affair.
package prepull

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

const (
	// FeaturesAnnotation lists, on a Node, what its agent can do beyond what any
	// kubelet can, separated by commas.
	FeaturesAnnotation = "garrison.dev/agent-features"
	// Feature stands in that list for agents that answer requests.
	Feature = "pre-pull"
	// Annotation holds a Request, as JSON, on a pod. On a DaemonSet, "false" says
	// that none are to be made.
	Annotation = "garrison.dev/pre-pull"
	// ConditionType is the type of the condition that holds an Answer.
	ConditionType corev1.PodConditionType = "garrison.dev/PrePulled"
)

// The reasons of answers, in Kubernetes' own words where it has them.
const (
	ReasonPulled           = "Pulled"
	ReasonErrImagePull     = "ErrImagePull"
	ReasonImagePullBackOff = "ImagePullBackOff"
)

// Able reports whether the node's agent answers requests.
func Able(node *corev1.Node) bool {
	for feature := range strings.SplitSeq(node.Annotations[FeaturesAnnotation], ",") {
		if feature == Feature {
			return true
		}
	}
	return false
}

// Wanted reports whether the DaemonSet leaves it to the controller to ask.
func Wanted(ds *appsv1.DaemonSet) bool { return ds.Annotations[Annotation] != "false" }

// Request asks the agent of a pod to fetch the images of another revision.
type Request struct {
	// Revision is the hash of the revision.
	Revision string    `json:"revision"`
	Since    time.Time `json:"since"`
	Images   []Image   `json:"images"`
}

// Image is one image, and whether it is fetched though the node has one of the
// name: Always or IfNotPresent.
type Image struct {
	Name   string            `json:"image"`
	Policy corev1.PullPolicy `json:"imagePullPolicy"`
}

// Images are those that pods of a template need, in the order of its containers.
// Images that the template does not allow to be fetched are none of them.
func Images(template *corev1.PodSpec) []Image {
	var images []Image
	for _, containers := range [][]corev1.Container{template.InitContainers, template.Containers} {
		for i := range containers {
			c := &containers[i]
			if c.Image == "" || c.ImagePullPolicy == corev1.PullNever {
				continue
			}
			at := slices.IndexFunc(images, func(known Image) bool { return known.Name == c.Image })
			switch {
			case at < 0:
				images = append(images, Image{Name: c.Image, Policy: c.ImagePullPolicy})
			case c.ImagePullPolicy == corev1.PullAlways:
				images[at].Policy = c.ImagePullPolicy
			}
		}
	}
	return images
}

// Useful reports whether the agent of a pod that runs may be asked to fetch the
// images for another template: it has not got them all for the pod itself, and the
// pod's credentials are those that the new one will have.
func Useful(pod, template *corev1.PodSpec, images []Image) bool {
	missing := slices.ContainsFunc(images, func(i Image) bool {
		return i.Policy == corev1.PullAlways || !uses(pod, i.Name)
	})
	if len(template.ImagePullSecrets) == 0 {
		// Those of the service account are added to the pod.
		return missing && accountOf(pod) == accountOf(template)
	}
	return missing && !slices.ContainsFunc(template.ImagePullSecrets, func(s corev1.LocalObjectReference) bool {
		return !slices.Contains(pod.ImagePullSecrets, s)
	})
}

func accountOf(spec *corev1.PodSpec) string {
	if spec.ServiceAccountName == "" {
		return "default"
	}
	return spec.ServiceAccountName
}

func uses(pod *corev1.PodSpec, image string) bool {
	has := func(c corev1.Container) bool { return c.Image == image }
	return slices.ContainsFunc(pod.InitContainers, has) || slices.ContainsFunc(pod.Containers, has)
}

// String is the request as it is written into the annotation.
func (r Request) String() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and times have a JSON form
	}
	return string(text)
}

// RequestOf is what the agent of a pod is asked for; false if it is for nothing,
// or if it cannot be read.
func RequestOf(pod *corev1.Pod) (Request, bool) {
	text, found := pod.Annotations[Annotation]
	if !found {
		return Request{}, false
	}
	var r Request
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Revision == "" {
		return Request{}, false
	}
	return r, true
}

// Answer is what became of a request.
type Answer struct {
	Revision string
	Pulled   bool
	// Reason is one of those above; Message has more for people.
	Reason, Message string
}

// revisionPrefix begins the message of the condition, before the revision.
const revisionPrefix = "revision "

// Condition is the answer as a condition of the pod's status.
func (a Answer) Condition() corev1.PodCondition {
	c := corev1.PodCondition{
		Type:    ConditionType,
		Status:  corev1.ConditionFalse,
		Reason:  a.Reason,
		Message: revisionPrefix + a.Revision + ": " + a.Message,
	}
	if a.Pulled {
		c.Status = corev1.ConditionTrue
	}
	return c
}

// AnswerOf is the answer that a pod's status holds; false if there is none.
func AnswerOf(pod *corev1.Pod) (Answer, bool) {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type != ConditionType {
			continue
		}
		rest, found := strings.CutPrefix(c.Message, revisionPrefix)
		revision, message, complete := strings.Cut(rest, ": ")
		return Answer{
			Revision: revision,
			Pulled:   c.Status == corev1.ConditionTrue,
			Reason:   c.Reason,
			Message:  message,
		}, found && complete
	}
	return Answer{}, false
}
