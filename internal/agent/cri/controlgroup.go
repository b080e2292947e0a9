package cri

import (
	"context"
	"path"
)

// ControlGroup names the control groups of a pod, as seen from the root.
type ControlGroup struct {
	Pod    string
	driver cgroupDriver
}

// ControlGroup tells which control group is that of a pod.
func (r *Runtime) ControlGroup(ctx context.Context, uid string) (ControlGroup, error) {
	driver, err := r.cgroupDriver(ctx)
	return ControlGroup{podParent(r.options.CgroupRoot, uid, driver), driver}, err
}

// Container is the control group of a container, by its ID.
func (g ControlGroup) Container(id string) string {
	if g.driver == driverSystemd {
		id = "cri-containerd-" + id + ".scope"
	}
	return path.Join(g.Pod, id)
}
