package prepull

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhoIsAble(t *testing.T) {
	for features, able := range map[string]bool{"": false, "pre-pull": true, "a,pre-pull,b": true, "pre-pulled": false} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{FeaturesAnnotation: features}}}
		if Able(node) != able {
			t.Errorf("%q: %t", features, !able)
		}
	}
}

func TestRequestsAndAnswersComeBack(t *testing.T) {
	asked := Request{
		Revision: "5d4f8c7b9", Since: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		Images: []Image{{"busybox:1", corev1.PullAlways}},
	}
	pod := &corev1.Pod{}
	if r, ok := RequestOf(pod); ok {
		t.Errorf("no annotation: %+v", r)
	}
	for _, text := range []string{"", "false", "{}", "[]"} {
		pod.Annotations = map[string]string{Annotation: text}
		if r, ok := RequestOf(pod); ok {
			t.Errorf("%q: %+v", text, r)
		}
	}
	pod.Annotations = map[string]string{Annotation: asked.String()}
	r, ok := RequestOf(pod)
	if !ok || r.Revision != asked.Revision || !r.Since.Equal(asked.Since) || !slices.Equal(r.Images, asked.Images) {
		t.Errorf("%+v became %+v", asked, r)
	}
	if a, ok := AnswerOf(pod); ok {
		t.Errorf("no condition: %+v", a)
	}
	for _, answer := range []Answer{
		{Revision: "5d4f8c7b9", Pulled: true, Reason: ReasonPulled, Message: "1 image"},
		{Revision: "5d4f8c7b9", Reason: ReasonErrImagePull, Message: "busybox:1: not found: no such tag"},
	} {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady}, answer.Condition()}
		if a, ok := AnswerOf(pod); !ok || a != answer {
			t.Errorf("%+v became %+v", answer, a)
		}
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: ConditionType, Status: corev1.ConditionTrue, Message: "all is well"}}
	if a, ok := AnswerOf(pod); ok {
		t.Errorf("an answer that names no revision: %+v", a)
	}
}

// spec has a container for each image; if there are several, the first is an init
// container.
func spec(images ...Image) *corev1.PodSpec {
	s := &corev1.PodSpec{}
	for i, image := range images {
		c := corev1.Container{Image: image.Name, ImagePullPolicy: image.Policy}
		if i == 0 && len(images) > 1 {
			s.InitContainers = append(s.InitContainers, c)
			continue
		}
		s.Containers = append(s.Containers, c)
	}
	return s
}

func TestImages(t *testing.T) {
	const always, missing, never = corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever
	for name, c := range map[string]struct {
		template *corev1.PodSpec
		want     []Image
	}{
		"each once":             {spec(Image{"a", missing}, Image{"b", missing}, Image{"a", missing}), []Image{{"a", missing}, {"b", missing}}},
		"always is stronger":    {spec(Image{"a", missing}, Image{"a", always}), []Image{{"a", always}}},
		"always stays":          {spec(Image{"a", always}, Image{"a", missing}), []Image{{"a", always}}},
		"never is not fetched":  {spec(Image{"a", never}, Image{"b", missing}), []Image{{"b", missing}}},
		"nothing is left to do": {spec(Image{"a", never}), nil},
	} {
		if got := Images(c.template); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestUseful(t *testing.T) {
	const always, missing = corev1.PullAlways, corev1.PullIfNotPresent
	secret := func(s *corev1.PodSpec, names ...string) *corev1.PodSpec {
		for _, name := range names {
			s.ImagePullSecrets = append(s.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
		}
		return s
	}
	account := func(s *corev1.PodSpec, name string) *corev1.PodSpec {
		s.ServiceAccountName = name
		return s
	}
	for name, c := range map[string]struct {
		pod, template *corev1.PodSpec
		useful        bool
	}{
		"another image":              {spec(Image{"a", missing}), spec(Image{"b", missing}), true},
		"the same image":             {spec(Image{"a", missing}), spec(Image{"a", missing}), false},
		"the same, to be sure":       {spec(Image{"a", missing}), spec(Image{"a", always}), true},
		"one more":                   {spec(Image{"a", missing}), spec(Image{"a", missing}, Image{"b", missing}), true},
		"nothing to fetch":           {spec(Image{"a", missing}), spec(Image{"b", corev1.PullNever}), false},
		"the same secret":            {secret(spec(Image{"a", missing}), "s", "t"), secret(spec(Image{"b", missing}), "t"), true},
		"another secret":             {secret(spec(Image{"a", missing}), "s"), secret(spec(Image{"b", missing}), "s", "t"), false},
		"the account's secret":       {account(secret(spec(Image{"a", missing}), "s"), "default"), spec(Image{"b", missing}), true},
		"another account":            {account(spec(Image{"a", missing}), "x"), account(spec(Image{"b", missing}), "y"), false},
		"another account, no matter": {account(secret(spec(Image{"a", missing}), "s"), "x"), account(secret(spec(Image{"b", missing}), "s"), "y"), true},
	} {
		if got := Useful(c.pod, c.template, Images(c.template)); got != c.useful {
			t.Errorf("%s: %t", name, got)
		}
	}
}
