package serving_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	n := startNode(t)
	if code, body := n.get(root, "/healthz"); code != 200 || body != "ok" {
		t.Errorf("a well agent: %d %s", code, body)
	}
	if code, body := n.get(root, "/healthz?verbose"); code != 200 || !strings.Contains(body, "[+]ping ok\n[+]log ok\n[+]syncloop ok\n") {
		t.Errorf("its checks: %d %s", code, body)
	}
	sick := errors.New("sync Loop took longer than expected")
	n.sick.Store(&sick)
	if code, body := n.get(root, "/healthz"); code != 500 || !strings.Contains(body, "[-]syncloop failed: reason withheld") {
		t.Errorf("a sick agent: %d %s", code, body)
	}
	if code, body := n.get(root, "/healthz/syncloop"); code != 500 || !strings.Contains(body, sick.Error()) {
		t.Errorf("what is wrong: %d %s", code, body)
	}
	if code, _ := n.get(root, "/healthz/ping"); code != 200 {
		t.Errorf("a sick agent that answers: %d", code)
	}
}

// TestHealthForAll has the address in use at first.
func TestHealthForAll(t *testing.T) {
	n := startNode(t)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	inUse, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		n.server.RunHealth(ctx, other.Addr().String(), func(err error) { inUse <- err })
	}()
	select {
	case <-inUse:
	case <-time.After(30 * time.Second):
		t.Fatal("it is not told that the address is in use")
	}
	other.Close()
	get := func(path string) (int, string) {
		for until := time.Now().Add(30 * time.Second); ; {
			response, err := http.Get("http://" + other.Addr().String() + path)
			if err != nil && time.Now().Before(until) {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response.StatusCode, string(body)
		}
	}
	if code, body := get("/healthz"); code != 200 || body != "ok" {
		t.Errorf("got %d %s", code, body)
	}
	sick := errors.New("too slow")
	n.sick.Store(&sick)
	if code, _ := get("/healthz"); code != 500 {
		t.Errorf("a sick agent: %d", code)
	}
	if code, _ := get("/pods"); code != 404 {
		t.Errorf("pods without a name: %d", code)
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
}
