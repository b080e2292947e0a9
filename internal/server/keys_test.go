package server

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"
)

// A running server takes up a renewed certificate without a restart.
func TestRenewedCertificateIsServed(t *testing.T) {
	s := start(t, Config{DataDir: t.TempDir()})
	serial := func() string {
		conn, err := tls.Dial("tcp", s.listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	if _, err := s.ensureKeys(time.Now().AddDate(0, 11, 0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate", func() bool { return serial() != before })
}

func TestServingHosts(t *testing.T) {
	all, err := servingHosts("0.0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		ip := a.(*net.IPNet).IP
		if ip.IsGlobalUnicast() && !strings.Contains(strings.Join(all, " "), ip.String()) {
			t.Errorf("listening on all addresses, but no certificate for %s: %v", ip, all)
		}
	}
	one, err := servingHosts("192.0.2.7")
	if err != nil || one[len(one)-1] != "192.0.2.7" {
		t.Errorf("%v, %v", one, err)
	}
}
