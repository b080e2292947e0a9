package kinds

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// clusterIPs gives services their IPs. An IP in use is an IPAddress object of
// that name; since names are unique in the store, no two services can have the
// same, whatever server gave it.
type clusterIPs struct {
	services  *genericregistry.Store
	addresses *genericregistry.Store
	network   netip.Prefix
}

// hook makes a store of services give and take IPs.
func (c *clusterIPs) hook(s *genericregistry.Store) {
	s.BeginCreate, s.BeginUpdate, s.AfterDelete = c.beginCreate, c.beginUpdate, c.afterDelete
}

func (c *clusterIPs) beginCreate(ctx context.Context, obj runtime.Object, o *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
	svc := obj.(*corev1.Service)
	if !hasClusterIP(svc) {
		return finished, nil
	}
	return c.give(ctx, svc, dryrun.IsDryRun(o.DryRun))
}

// beginUpdate keeps the IP of a service that does not name it, and gives or
// takes one when the type now needs one or no longer does.
func (c *clusterIPs) beginUpdate(ctx context.Context, obj, oldObj runtime.Object, o *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
	svc, old := obj.(*corev1.Service), oldObj.(*corev1.Service)
	dryRun := dryrun.IsDryRun(o.DryRun)
	keepClusterIP(svc, old)
	switch had, has := hasClusterIP(old), hasClusterIP(svc); {
	case has && !had:
		return c.give(ctx, svc, dryRun)
	case had && !has && !dryRun:
		return func(ctx context.Context, success bool) {
			if success {
				c.release(ctx, old)
			}
		}, nil
	}
	return finished, nil
}

func (c *clusterIPs) afterDelete(obj runtime.Object, o *metav1.DeleteOptions) {
	if svc := obj.(*corev1.Service); hasClusterIP(svc) && !dryrun.IsDryRun(o.DryRun) {
		c.release(context.Background(), svc)
	}
}

// hasClusterIP reports whether a service of this kind has an IP of its own.
func hasClusterIP(s *corev1.Service) bool {
	return s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP != corev1.ClusterIPNone
}

func keepClusterIP(svc, old *corev1.Service) {
	s, o := &svc.Spec, &old.Spec
	switch {
	case s.Type == corev1.ServiceTypeExternalName:
		if s.ClusterIP == o.ClusterIP {
			s.ClusterIP, s.ClusterIPs, s.IPFamilies, s.IPFamilyPolicy = "", nil, nil, nil
		}
	case o.Type != corev1.ServiceTypeExternalName && s.ClusterIP == "":
		s.ClusterIP, s.ClusterIPs = o.ClusterIP, o.ClusterIPs
		fallthrough
	default:
		if len(s.IPFamilies) == 0 {
			s.IPFamilies = o.IPFamilies
		}
		if s.IPFamilyPolicy == nil {
			s.IPFamilyPolicy = o.IPFamilyPolicy
		}
	}
}

// give sets the IP of a service to the one it asks for or else a free one, and
// claims it. A write that fails later gives it back.
func (c *clusterIPs) give(ctx context.Context, svc *corev1.Service, dryRun bool) (genericregistry.FinishFunc, error) {
	ip, err := c.claim(ctx, svc, dryRun)
	if err != nil {
		return nil, err
	}
	svc.Spec.ClusterIP, svc.Spec.ClusterIPs = ip, []string{ip}
	setFamily(svc)
	if dryRun {
		return finished, nil
	}
	claimed := svc.DeepCopy()
	return func(ctx context.Context, success bool) {
		if !success && !c.used(ctx, claimed) {
			c.release(ctx, claimed)
		}
	}, nil
}

// used reports whether a service of this name has this IP: the write may have
// failed because another made the same service first.
func (c *clusterIPs) used(ctx context.Context, svc *corev1.Service) bool {
	obj, err := c.services.Get(context.WithoutCancel(ctx), svc.Name, &metav1.GetOptions{})
	if err != nil {
		return !apierrors.IsNotFound(err)
	}
	return obj.(*corev1.Service).Spec.ClusterIP == svc.Spec.ClusterIP
}

// setFamily says which kind of IP the service has. There is only one.
func setFamily(svc *corev1.Service) {
	if len(svc.Spec.IPFamilies) == 0 {
		svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	if svc.Spec.IPFamilyPolicy == nil {
		svc.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
	}
}

func (c *clusterIPs) claim(ctx context.Context, svc *corev1.Service, dryRun bool) (string, error) {
	if asked := svc.Spec.ClusterIP; asked != "" {
		return asked, c.claimAsked(ctx, svc, dryRun)
	}
	for ip := range c.candidates(svc) {
		err := c.claimIP(ctx, svc, ip, dryRun)
		if !apierrors.IsAlreadyExists(err) {
			return ip.String(), err
		}
	}
	return "", apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: range is full"))
}

func (c *clusterIPs) claimAsked(ctx context.Context, svc *corev1.Service, dryRun bool) error {
	asked := svc.Spec.ClusterIP
	refuse := func(why string) error {
		detail := fmt.Sprintf("failed to allocate IP %s: %s", asked, why)
		err := field.Invalid(field.NewPath("spec", "clusterIPs"), []string{asked}, detail)
		return apierrors.NewInvalid(coreV1.WithKind("Service").GroupKind(), svc.Name, field.ErrorList{err})
	}
	ip, err := netip.ParseAddr(asked)
	if err != nil {
		return nil // for validation to refuse, with all else that is wrong
	}
	if !c.network.Contains(ip) {
		return refuse("the provided network does not match the current range")
	}
	if err := c.claimIP(ctx, svc, ip, dryRun); apierrors.IsAlreadyExists(err) {
		return refuse("provided IP is already allocated")
	} else if err != nil {
		return err
	}
	return nil
}

// candidates lists the IPs of the network from one that depends on the name of
// the service, so that it tends to get the same again. The first 256 are left
// to services that ask for one.
func (c *clusterIPs) candidates(svc *corev1.Service) func(yield func(netip.Addr) bool) {
	const reserved = 256
	size := uint32(1) << (32 - c.network.Bits())
	free := size - reserved - 1 // the last is for broadcasts
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%s", svc.Namespace, svc.Name)
	start := h.Sum32() % free
	return func(yield func(netip.Addr) bool) {
		for i := range free {
			if !yield(nth(c.network, reserved+(start+i)%free)) {
				return
			}
		}
	}
}

// nth returns the IP that is n after the first of an IPv4 network.
func nth(network netip.Prefix, n uint32) netip.Addr {
	b := network.Masked().Addr().As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]) + n
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// clusterScope leaves the namespace of the service's request behind.
func clusterScope(ctx context.Context) context.Context {
	ctx = genericapirequest.WithRequestInfo(ctx, &genericapirequest.RequestInfo{
		IsResourceRequest: true, APIGroup: networkingV1.Group, APIVersion: networkingV1.Version, Resource: "ipaddresses"})
	return genericapirequest.WithNamespace(ctx, metav1.NamespaceNone)
}

// claimIP records that the service has the IP. One that an earlier, unfinished
// write recorded for the same service is its own.
func (c *clusterIPs) claimIP(ctx context.Context, svc *corev1.Service, ip netip.Addr, dryRun bool) error {
	a := &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{
			Name: ip.String(),
			Labels: map[string]string{
				networkingv1.LabelIPAddressFamily: string(corev1.IPv4Protocol),
				networkingv1.LabelManagedBy:       "ipallocator.k8s.io",
			},
		},
		Spec: networkingv1.IPAddressSpec{ParentRef: parentOf(svc)},
	}
	o := &metav1.CreateOptions{}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	ctx = clusterScope(ctx)
	_, err := c.addresses.Create(ctx, a, rest.ValidateAllObjectFunc, o)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	if obj, getErr := c.addresses.Get(ctx, a.Name, &metav1.GetOptions{}); getErr == nil && belongsTo(obj, svc) {
		return nil
	}
	return err
}

func belongsTo(address runtime.Object, svc *corev1.Service) bool {
	ref := address.(*networkingv1.IPAddress).Spec.ParentRef
	return ref != nil && *ref == *parentOf(svc)
}

func parentOf(svc *corev1.Service) *networkingv1.ParentReference {
	return &networkingv1.ParentReference{Resource: "services", Namespace: svc.Namespace, Name: svc.Name}
}

// release frees the IP of a service. If that fails the IP stays taken, which
// harms nobody else.
func (c *clusterIPs) release(ctx context.Context, svc *corev1.Service) {
	ctx = clusterScope(context.WithoutCancel(ctx))
	logger := klog.FromContext(ctx)
	obj, err := c.addresses.Get(ctx, svc.Spec.ClusterIP, &metav1.GetOptions{})
	if err == nil {
		if !belongsTo(obj, svc) {
			return
		}
		a := obj.(*networkingv1.IPAddress)
		_, _, err = c.addresses.Delete(ctx, a.Name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(a.UID))})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		logger.Error(err, "A cluster IP stays taken", "service", klog.KObj(svc), "ip", svc.Spec.ClusterIP)
	}
}
