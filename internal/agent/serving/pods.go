package serving

import (
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// nameOf is the pod that a path names.
func nameOf(r *http.Request) types.NamespacedName {
	return types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("pod")}
}

func podName(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
}

// find finds the pod that a path names, and answers if there is none.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (agent.Found, bool) {
	found, ok := s.Pods.Find(nameOf(r), types.UID(r.PathValue("uid")))
	if !ok {
		fail(w, http.StatusNotFound, "pod does not exist")
	}
	return found, ok
}

// servePods lists the pods that the machine is to run.
func (s *Server) servePods(w http.ResponseWriter, r *http.Request) {
	list := newPodList()
	for _, found := range s.Pods.All() {
		list.Items = append(list.Items, *found.Object)
	}
	answer(w, r, list)
}

// serveRunningPods lists the pods that run, as far as the runtime knows them.
func (s *Server) serveRunningPods(w http.ResponseWriter, r *http.Request) {
	list := newPodList()
	for _, found := range s.Pods.All() {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: found.Object.Namespace, Name: found.Object.Name, UID: found.Holding.Pod.UID}}
		for _, c := range found.Holding.Containers {
			if c.State == podstep.Running {
				pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: c.Name, Image: c.ImageID})
			}
		}
		if len(pod.Spec.Containers) > 0 {
			list.Items = append(list.Items, pod)
		}
	}
	answer(w, r, list)
}

func newPodList() *corev1.PodList {
	return &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
}

// hasContainer tells whether a pod has a container of a name.
func hasContainer(pod *corev1.Pod, name string) bool { return agent.ContainerNamed(pod, name) != nil }
