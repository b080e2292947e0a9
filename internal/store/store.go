// Package store keeps the API's objects in etcd: one that runs inside the
// process, or an external cluster. It hands the API server what it needs to
// build its storage, answers whether etcd is well, and ends cleanly.
//
// What is stored, and under which rules, is left to package kinds. The store
// must outlive the API server that uses it.
package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/utils/clock"
)

// keyPrefix is where all objects lie in etcd, as in every Kubernetes cluster.
const keyPrefix = "/registry"

// Config says where the objects are kept.
type Config struct {
	// Dir is the directory of the embedded etcd. It is created if need be.
	Dir string
	// Servers are the URLs of an external etcd. With any, nothing is embedded
	// and Dir is not used.
	Servers []string
	// TLS are the files for https URLs of an external etcd.
	TLS TLSFiles
}

// TLSFiles are what a client of etcd shows and verifies, in files of PEM. Without CA
// it verifies by what the machine trusts; without Cert and Key it shows nothing.
type TLSFiles struct{ CA, Cert, Key string }

// config reads the files, nil if there are none. The certificate is read anew for
// each connection, since it may be renewed.
func (f TLSFiles) config() (*tls.Config, error) {
	if f == (TLSFiles{}) {
		return nil, nil
	}
	config, err := transport.TLSInfo{TrustedCAFile: f.CA, CertFile: f.Cert, KeyFile: f.Key}.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the certificates for etcd: %w", err)
	}
	return config, nil
}

// Store is an open store.
type Store struct {
	client    *kubernetes.Client
	member    *member // nil with an external etcd
	compactor stopper
	codecs    codecs
	shared    sync.Map // *sharing of each schema.GroupResource
	closing   sync.Once
}

// stopper is the compactor, which etcd3 does not export as a type.
type stopper interface {
	etcd3.Compactor
	Stop()
}

// Open starts the embedded etcd, or connects to the external one, and returns
// when it answers. An embedded etcd whose directory is locked by another
// process, damaged, or on a full disk is an error that says so.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := setFeatures(); err != nil {
		return nil, err
	}
	s := &Store{}
	if len(cfg.Servers) > 0 {
		client, err := connect(ctx, cfg)
		if err != nil {
			return nil, fmt.Errorf("connect to etcd: %w", err)
		}
		s.client = client
	} else {
		m, err := startMember(ctx, cfg.Dir)
		if err != nil {
			return nil, fmt.Errorf("start etcd in %s: %w", cfg.Dir, err)
		}
		s.member, s.client = m, m.client()
		feature.DefaultFeatureSupportChecker.CheckClient(s.client.Ctx(), localEndpoint{s.client}, storage.RequestWatchProgress)
	}
	s.client.KV = etcd3.NewETCDLatencyTracker(s.client.KV)
	s.compactor = etcd3.NewCompactor(s.client.Client, storagebackend.DefaultCompactInterval, clock.RealClock{}, nil)
	return s, nil
}

// setFeatures turns off the snapshots of the watch cache. They answer lists of
// old versions, such as later pages, without etcd. Here etcd is as near as the
// cache, while a snapshot for every event is a fifth of the heap.
func setFeatures() error {
	return utilfeature.DefaultMutableFeatureGate.SetFromMap(map[string]bool{string(features.ListFromCacheSnapshot): false})
}

// Check returns an error if etcd does not answer.
func (s *Store) Check(ctx context.Context) error {
	if _, err := s.client.KV.Get(ctx, path.Join(keyPrefix, "health")); err != nil {
		return fmt.Errorf("read from etcd: %w", err)
	}
	return nil
}

// Failed delivers the error that made the embedded etcd stop by itself, such
// as a full disk. Nothing can be stored after it. It stays silent otherwise.
func (s *Store) Failed() <-chan error {
	if s.member == nil {
		return nil
	}
	return s.member.failed
}

// Close ends the use of etcd. Storage built from the store must have been
// destroyed before. Further calls do nothing.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.compactor.Stop()
		err = s.client.Close()
		if errors.Is(err, context.Canceled) {
			err = nil // the in-process client has no connection to close
		}
		if s.member != nil {
			err = errors.Join(err, s.member.stop())
		}
	})
	return err
}

// connectTimeout is how long an external etcd may take to answer at start.
const connectTimeout = 10 * time.Second

func connect(ctx context.Context, cfg Config) (*kubernetes.Client, error) {
	files, err := cfg.TLS.config()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.New(clientv3.Config{
		Endpoints:            cfg.Servers,
		TLS:                  files,
		DialTimeout:          connectTimeout,
		DialKeepAliveTime:    30 * time.Second,
		DialKeepAliveTimeout: 10 * time.Second,
		Logger:               logger(nil),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if _, err := client.KV.Get(ctx, path.Join(keyPrefix, "health")); err != nil {
		return nil, errors.Join(fmt.Errorf("no answer from %q: %w", cfg.Servers, err), client.Close())
	}
	return client, nil
}

// localEndpoint makes the in-process client look as if it had an endpoint,
// because etcd's features are looked up by endpoint. Without it, progress of
// watches seems unsupported and every consistent list reads from disk.
type localEndpoint struct{ *kubernetes.Client }

func (localEndpoint) Endpoints() []string { return []string{"in-process"} }
