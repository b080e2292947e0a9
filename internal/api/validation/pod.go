package validation

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Pod checks a new pod, with the defaults and what admission has set.
func Pod(pod *corev1.Pod) field.ErrorList {
	f := faults{list: podContent(pod)}
	if len(pod.Spec.EphemeralContainers) > 0 {
		f.forbidden(specPath.Child("ephemeralContainers"), "cannot be set on create")
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		f.forbidden(specPath.Child("nodeName"), "cannot be set until all schedulingGates have been cleared")
	}
	f.profilesAgree(pod.Annotations, &pod.Spec, specPath)
	return f.list
}

// podContent checks what must hold of a pod at any time.
func podContent(pod *corev1.Pod) field.ErrorList {
	p := podChecker{spec: &pod.Spec, path: specPath, pod: &pod.ObjectMeta}
	p.add(namespaced(&pod.ObjectMeta, apivalidation.NameIsDNSSubdomain)...)
	p.podAnnotations(pod.Annotations, &pod.Spec, metadataPath.Child("annotations"))
	p.check()
	if pod.Spec.ServiceAccountName == "" {
		p.noTokens()
	}
	for i := range pod.Spec.Containers {
		p.imageSpace(&pod.Spec.Containers[i], specPath.Child("containers").Index(i))
	}
	for i := range pod.Spec.InitContainers {
		p.imageSpace(&pod.Spec.InitContainers[i], specPath.Child("initContainers").Index(i))
	}
	return p.list
}

// noTokens refuses tokens of an account that the pod does not have.
func (p *podChecker) noTokens() {
	for i := range p.spec.Volumes {
		if p.spec.Volumes[i].Projected == nil {
			continue
		}
		for j, source := range p.spec.Volumes[i].Projected.Sources {
			if source.ServiceAccountToken != nil {
				p.forbidden(p.path.Child("volumes").Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken"),
					"must not be specified when serviceAccountName is not set")
			}
		}
	}
}

// PodTemplate checks a new stored pod template.
func PodTemplate(template *corev1.PodTemplate) field.ErrorList {
	errs := namespaced(&template.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	return append(errs, podTemplate(&template.Template, field.NewPath("template"))...)
}

// PodTemplateUpdate checks a changed stored pod template.
func PodTemplateUpdate(template, old *corev1.PodTemplate) field.ErrorList {
	errs := metaUpdate(&template.ObjectMeta, &old.ObjectMeta)
	return append(errs, podTemplate(&template.Template, field.NewPath("template"))...)
}

// podTemplate checks the template of a workload's pods.
func podTemplate(t *corev1.PodTemplateSpec, at *field.Path) field.ErrorList {
	p := podChecker{spec: &t.Spec, path: at.Child("spec")}
	// The fields of a template's metadata stand at the template itself: so
	// upstream names them.
	p.add(labelsAt(t.Labels, at.Child("labels"))...)
	p.add(annotationsAt(t.Annotations, at.Child("annotations"))...)
	p.podAnnotations(t.Annotations, &t.Spec, at.Child("annotations"))
	p.check()
	p.profilesAgree(t.Annotations, &t.Spec, at.Child("spec"))
	if len(t.Spec.EphemeralContainers) > 0 {
		p.forbidden(at.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template")
	}
	return p.list
}

// alwaysRunning checks what holds for the template of workloads that replace
// every pod that ends. kind is the workload's, for the message.
func (f *faults) alwaysRunning(t *corev1.PodTemplateSpec, kind string, at *field.Path) {
	supported(f, at.Child("spec", "restartPolicy"), t.Spec.RestartPolicy, corev1.RestartPolicyAlways)
	if t.Spec.ActiveDeadlineSeconds != nil {
		f.forbidden(at.Child("spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in "+kind+" is not Supported")
	}
}

// selects checks that the pods of a template are those that a selector finds.
func (f *faults) selects(selector *metav1.LabelSelector, t *corev1.PodTemplateSpec, at *field.Path) {
	if !selectorMatches(selector, t.Labels) {
		f.unselected(t, at)
	}
}

func (f *faults) unselected(t *corev1.PodTemplateSpec, at *field.Path) {
	f.invalid(at.Child("metadata", "labels"), t.Labels, "`selector` does not match template `labels`")
}

// Binding checks the assignment of a pod to a node.
func Binding(b *corev1.Binding) field.ErrorList {
	var f faults
	target := field.NewPath("target")
	if b.Target.Kind != "" {
		supported(&f, target.Child("kind"), b.Target.Kind, "Node", "<empty>")
	}
	f.needs(target.Child("name"), b.Target.Name)
	return f.list
}
