package validation

import (
	"fmt"
	"strings"

	schedulingv1 "k8s.io/api/scheduling/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	systemPrefix = "system-"
	// maxUserPriority is the highest priority that users may give.
	maxUserPriority = int32(1000000000)
)

// systemPriorities are the classes that come with the cluster.
var systemPriorities = map[string]int32{
	"system-node-critical":    2*maxUserPriority + 1000,
	"system-cluster-critical": 2 * maxUserPriority,
}

// PriorityClass checks a new priority class.
func PriorityClass(pc *schedulingv1.PriorityClass) field.ErrorList {
	f := faults{list: clusterScoped(&pc.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	if strings.HasPrefix(pc.Name, systemPrefix) {
		if reason := notSystem(pc); reason != "" {
			f.forbidden(metadataPath.Child("name"), "priority class names with '"+systemPrefix+
				"' prefix are reserved for system use only. error: "+reason)
		}
	} else if pc.Value > maxUserPriority {
		f.forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %v", maxUserPriority))
	}
	if pc.PreemptionPolicy != nil {
		f.preemptionPolicy(*pc.PreemptionPolicy, field.NewPath("preemptionPolicy"))
	}
	return f.list
}

// notSystem says how a class differs from the system's class of its name, or
// nothing.
func notSystem(pc *schedulingv1.PriorityClass) string {
	value, known := systemPriorities[pc.Name]
	switch {
	case !known:
		return fmt.Sprintf("%v is not a known system priority class", pc.Name)
	case pc.Value != value:
		return fmt.Sprintf("value of %v PriorityClass must be %v", pc.Name, value)
	case pc.GlobalDefault:
		return fmt.Sprintf("globalDefault of %v PriorityClass must be %v", pc.Name, false)
	}
	return ""
}

// PriorityClassUpdate checks a changed priority class. What it means to the
// pods that have it must stay.
func PriorityClassUpdate(pc, old *schedulingv1.PriorityClass) field.ErrorList {
	f := faults{list: metaUpdate(&pc.ObjectMeta, &old.ObjectMeta)}
	if pc.Value != old.Value {
		f.forbidden(field.NewPath("value"), "may not be changed in an update.")
	}
	f.add(unchanged(pc.PreemptionPolicy, old.PreemptionPolicy, field.NewPath("preemptionPolicy"))...)
	return f.list
}
