package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent/apiaccess"
	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/cri"
)

// startRuntime starts a containerd, unless there is a runtime to use.
func (a *nodeAgent) startRuntime(ctx context.Context) error {
	options := cri.Options{
		Endpoint: a.cfg.RuntimeEndpoint, PodsDirectory: a.cfg.podsFolder(), LinksDirectory: linksFolder(a.cfg.PodLogs),
		SeccompDirectory: a.cfg.SeccompFolder, RuntimeHandler: a.runtimeHandler,
	}
	var err error
	if options.Endpoint != "" {
		// Others run their own containers there, which are none of our business.
		options.Owner = a.cfg.owner()
		if a.runtime, err = cri.New(options); err != nil {
			return err
		}
		return a.meetRuntime(ctx)
	}
	a.containerd, err = containerd.Start(ctx, containerd.Config{
		Dir: a.cfg.Dir, ContainerdPath: a.cfg.ContainerdPath, CNIBinDir: a.cfg.CNIBinDir, CNIConfDir: a.cfg.CNIConfDir,
		Handlers: a.cfg.RuntimeHandlers,
	})
	if err != nil {
		return err
	}
	a.importer = a.containerd.Importer(a.cfg.ImageFolder)
	options.Endpoint, options.CgroupRoot = a.containerd.Endpoint(), cgroupRoot(a.containerd.Bridge())
	a.runtime, err = cri.New(options)
	return err
}

// runtimeHandler is the handler that a runtime class stands for.
func (a *nodeAgent) runtimeHandler(ctx context.Context, class string) (string, error) {
	found, err := a.client.NodeV1().RuntimeClasses().Get(ctx, class, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return found.Handler, nil
}

// meetRuntime gets to know a runtime that others have started.
func (a *nodeAgent) meetRuntime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	condition, err := a.runtime.Condition(ctx)
	if err != nil {
		return fmt.Errorf("use the container runtime at %s: %w", a.cfg.RuntimeEndpoint, err)
	}
	places, err := a.runtime.ImageFilesystems(ctx)
	if err != nil {
		return fmt.Errorf("use the container runtime at %s: %w", a.cfg.RuntimeEndpoint, err)
	}
	if len(places) > 0 {
		a.cfg.Node.ImageDir = places[0].Mountpoint
	}
	if condition.Name != "containerd" {
		return nil // only containerd imports archives
	}
	a.importer, err = containerd.NewImporter(containerd.ImporterConfig{
		Dir: a.cfg.ImageFolder, Endpoint: a.cfg.RuntimeEndpoint, Memory: filepath.Join(a.cfg.Dir, "imported.json"),
	})
	return err
}

// meetTimeout is how long a runtime of others may take to answer at first.
const meetTimeout = 10 * time.Second

// podsFolder has a folder for each pod.
func (cfg AgentConfig) podsFolder() string { return filepath.Join(cfg.Dir, "pods") }

// owner marks the containers of this agent in a runtime of others: no other agent
// of the machine has its folder.
func (cfg AgentConfig) owner() string { return cfg.Dir }

// cgroupRoot is the control group of all pods of an agent, by the name that no
// other agent of the machine has.
func cgroupRoot(name string) string { return "/" + name }

// The pause before the network is tried to be set up again, and before it is looked
// at again though it works: others may have changed the rules of the kernel.
const (
	networkRetry  = 5 * time.Second
	networkRepair = time.Minute
)

// keepNetwork gives the pod network its addresses when they are known, and pods
// their way to the API server.
func (a *nodeAgent) keepNetwork(ctx context.Context) {
	for ctx.Err() == nil {
		pause := networkRepair
		err := errors.Join(a.setUpNetwork(ctx), a.giveAccess(ctx))
		a.networkProblem.Store(&err)
		if err != nil {
			pause = networkRetry
			if ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "The pod network is not as it should be, and is tried again", "in", pause)
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// setUpNetwork gives our own pod network the addresses of the node.
func (a *nodeAgent) setUpNetwork(ctx context.Context) error {
	if !a.ownsNetwork() {
		return nil
	}
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

// ownsNetwork tells whether the pod network is ours to set up.
func (a *nodeAgent) ownsNetwork() bool { return a.containerd != nil && a.cfg.CNIConfDir == "" }

// giveAccess lets pods reach the API server at its service address, once that is
// known.
func (a *nodeAgent) giveAccess(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), a.servicesKnown) {
		return ctx.Err()
	}
	service, err := a.services.Services(metav1.NamespaceDefault).Get("kubernetes")
	if err != nil {
		return fmt.Errorf("find the service address of the API server: %w", err)
	}
	server, err := resolve(ctx, a.server)
	if err != nil {
		return fmt.Errorf("find the address of the API server: %w", err)
	}
	address, err := netip.ParseAddr(service.Spec.ClusterIP)
	if err != nil || len(service.Spec.Ports) == 0 || !address.Is4() || !server.Addr().Is4() {
		return nil // a service, or a server, of a kind that is not translated here
	}
	access := apiaccess.Config{Service: netip.AddrPortFrom(address, uint16(service.Spec.Ports[0].Port)), Server: server, Name: accessName}
	if a.containerd != nil {
		access.Name = a.containerd.Bridge()
	}
	if a.ownsNetwork() {
		access.Bridge = a.containerd.Bridge()
	}
	return apiaccess.Ensure(ctx, access)
}

// accessName tells the rules of an agent with a runtime of others apart.
const accessName = "garrison"

// resolve finds the address of a host and port.
func resolve(ctx context.Context, hostPort string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return netip.AddrPort{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not the number of a port", port)
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, address := range addresses {
		if address.Unmap().Is4() {
			return netip.AddrPortFrom(address.Unmap(), uint16(number)), nil
		}
	}
	return netip.AddrPortFrom(addresses[0], uint16(number)), nil
}

// How logs of containers are rotated, as kubelets do it.
const (
	logRotationInterval = 10 * time.Second
	maxLogSize          = 10 << 20
	maxLogFiles         = 5
)

// rotateLogs keeps the logs of containers short.
func (a *nodeAgent) rotateLogs(ctx context.Context) {
	ticker := time.NewTicker(logRotationInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := a.runtime.RotateLogs(ctx, maxLogSize, maxLogFiles); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Cannot rotate logs")
		}
	}
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
