package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

const (
	// startTimeout bounds the start of etcd, replay of its log included.
	startTimeout = 2 * time.Minute
	// stopTimeout bounds its end. What was acknowledged is on disk by then.
	stopTimeout = 2 * time.Second
	// quota is how large the database may grow, in bytes.
	quota = 8 << 30
)

// member is the etcd inside this process. It listens nowhere: its client calls
// it directly.
type member struct {
	etcd   *embed.Etcd
	lock   *os.File
	failed chan error
}

// startMember runs etcd in dir.
func startMember(ctx context.Context, dir string) (*member, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	m := &member{lock: lock, failed: make(chan error, 1)}
	if err := m.start(ctx, dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return m, nil
}

func (m *member) start(ctx context.Context, dir string) error {
	if err := guard(func() error { return inspect(dir) }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	started := make(chan error, 1)
	go func() {
		started <- guard(func() (err error) {
			m.etcd, err = embed.StartEtcd(memberConfig(dir, m.failed))
			return err
		})
	}()
	if err := m.await(ctx, started); err != nil {
		return err
	}
	select {
	case <-m.etcd.Server.ReadyNotify():
		return markInitialized(dir)
	case err := <-m.failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("etcd did not become ready: %w", context.Cause(ctx))
	}
}

// await returns the outcome of the start. When etcd gives up, it ends its own
// goroutine after reporting why, and started stays silent.
func (m *member) await(ctx context.Context, started <-chan error) error {
	select {
	case err := <-started:
		return err
	case err := <-m.failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("etcd did not start: %w", context.Cause(ctx))
	}
}

// client returns a client that calls the member without a connection.
func (m *member) client() *kubernetes.Client {
	c := &kubernetes.Client{Client: v3client.New(m.etcd.Server)}
	c.Kubernetes = c
	return c
}

func (m *member) stop() error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		m.etcd.Close()
	}()
	select {
	case <-stopped:
		return m.lock.Close()
	case <-time.After(stopTimeout):
		// The lock goes with the process, which is about to end.
		return fmt.Errorf("stop etcd: not done within %s", stopTimeout)
	}
}

func memberConfig(dir string, failed chan<- error) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name = "garrison"
	cfg.Dir = dir
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ListenPeerUrls, cfg.ListenClientUrls, cfg.AdvertiseClientUrls = nil, nil, nil
	// A single member elects itself after one election timeout, so a short
	// one is a quick start. It has no follower that could miss a heartbeat.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.QuotaBackendBytes = quota
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(failed))
	return cfg
}
