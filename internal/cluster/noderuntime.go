package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/cri"
)

// startRuntime starts a containerd, unless there is a runtime to use.
func (a *nodeAgent) startRuntime(ctx context.Context) error {
	endpoint := a.cfg.RuntimeEndpoint
	if endpoint == "" {
		var err error
		a.containerd, err = containerd.Start(ctx, containerd.Config{
			Dir: a.cfg.Dir, ContainerdPath: a.cfg.ContainerdPath, CNIBinDir: a.cfg.CNIBinDir, CNIConfDir: a.cfg.CNIConfDir,
		})
		if err != nil {
			return err
		}
		endpoint = a.containerd.Endpoint()
		a.importer = a.containerd.Importer(a.cfg.ImageFolder)
	}
	options := cri.Options{Endpoint: endpoint, PodsDirectory: a.cfg.podsFolder(), LinksDirectory: linksFolder(a.cfg.PodLogs)}
	if a.containerd != nil {
		options.CgroupRoot = cgroupRoot(a.containerd.Bridge())
	}
	var err error
	a.runtime, err = cri.New(options)
	return err
}

// podsFolder has a folder for each pod.
func (cfg AgentConfig) podsFolder() string { return filepath.Join(cfg.Dir, "pods") }

// cgroupRoot is the control group of all pods of an agent, by the name that no
// other agent of the machine has.
func cgroupRoot(name string) string { return "/" + name }

// keepNetwork gives the pod network its addresses when they are known.
func (a *nodeAgent) keepNetwork(ctx context.Context) {
	if a.containerd != nil && a.cfg.CNIConfDir == "" {
		_ = wait.PollUntilContextCancel(ctx, 5*time.Second, true, func(ctx context.Context) (bool, error) {
			err := a.setUpNetwork(ctx)
			if err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "The pod network is not there yet")
			}
			return err == nil, nil
		})
	}
	<-ctx.Done()
}

func (a *nodeAgent) setUpNetwork(ctx context.Context) error {
	texts := []string{a.cfg.Node.PodCIDR}
	if a.cfg.Node.PodCIDR == "" {
		var err error
		if texts, err = a.record.AwaitPodCIDR(ctx); err != nil {
			return err
		}
	}
	var ranges []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("read the pod CIDR of node %s: %w", a.cfg.Node.Name, err)
		}
		ranges = append(ranges, prefix)
	}
	return a.containerd.SetPodCIDRs(ranges)
}

// importImages brings in the archives of images that lie in a folder.
func (a *nodeAgent) importImages(ctx context.Context) {
	if a.importer != nil {
		err := a.importer.Run(ctx)
		close(a.importing)
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "No archives of images are imported any more", "folder", a.cfg.ImageFolder)
		}
	}
	<-ctx.Done()
}

// importedImages are those that nobody could pull again.
func (a *nodeAgent) importedImages() []string {
	if a.importer == nil {
		return nil
	}
	return a.importer.Images()
}
