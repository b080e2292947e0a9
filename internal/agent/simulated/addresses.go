package simulated

import (
	"net/netip"
	"sync"
)

// The ranges addresses are drawn from. Nothing answers there; they only have
// to differ. CreateNodes numbers its own nodes in createdNodes, so that it
// needs no pool.
var (
	createdNodes = netip.MustParsePrefix("10.0.0.0/13")
	adoptedNodes = netip.MustParsePrefix("10.8.0.0/13")
	podRange     = netip.MustParsePrefix("10.64.0.0/12")
)

// addressPool hands out addresses, each to one holder at a time, and the same
// one to the same holder for as long as it holds it. It is safe for concurrent
// use.
type addressPool struct {
	mu     sync.Mutex
	within netip.Prefix
	last   netip.Addr
	holder map[netip.Addr]string
	held   map[string]netip.Addr
}

func newAddressPool(within netip.Prefix) *addressPool {
	return &addressPool{
		within: within, last: within.Addr(),
		holder: map[netip.Addr]string{}, held: map[string]netip.Addr{},
	}
}

// get returns the holder's address.
func (p *addressPool) get(holder string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if address, ok := p.held[holder]; ok {
		return address.String()
	}
	address := p.free()
	p.holder[address], p.held[holder] = holder, address
	return address.String()
}

// free returns the next address that nobody holds. The ranges are far larger
// than any number of holders, so there is one.
func (p *addressPool) free() netip.Addr {
	for {
		p.last = p.last.Next()
		if !p.within.Contains(p.last) {
			p.last = p.within.Addr().Next()
		}
		if _, taken := p.holder[p.last]; !taken {
			return p.last
		}
	}
}

// keep notes an address that the holder reports already. One that is not of
// the pool, or that another holder has, is nobody's business here.
func (p *addressPool) keep(holder, address string) {
	parsed, err := netip.ParseAddr(address)
	if err != nil || !p.within.Contains(parsed) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, has := p.held[holder]
	_, taken := p.holder[parsed]
	if !has && !taken {
		p.holder[parsed], p.held[holder] = holder, parsed
	}
}

// drop takes back what the holder has.
func (p *addressPool) drop(holder string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if address, ok := p.held[holder]; ok {
		delete(p.holder, address)
		delete(p.held, holder)
	}
}
