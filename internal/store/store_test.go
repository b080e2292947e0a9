package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"
)

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// used returns a directory in which a store holds the key "a".
func used(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "etcd")
	s := open(t, Config{Dir: dir})
	if _, err := s.client.Put(t.Context(), "a", "value"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReopen(t *testing.T) {
	s := open(t, Config{Dir: used(t)})
	got, err := s.client.KV.Get(t.Context(), "a")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "value" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.Check(ctx); err == nil {
		t.Error("a closed store is well")
	}
}

func TestFilesAreThePropertyOfOne(t *testing.T) {
	dir := used(t)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecondStoreIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	open(t, Config{Dir: dir})
	_, err := Open(t.Context(), Config{Dir: dir})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "pid "+strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

// Damage ends in an error, and the directory stays as it was: nothing is made
// anew in it.
func TestDamageIsAnError(t *testing.T) {
	database := func(dir string) string { return filepath.Join(dir, "member", "snap", "db") }
	log := func(dir string) string {
		logs, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
		if err != nil || len(logs) == 0 {
			t.Fatalf("no log in %s: %v", dir, err)
		}
		return logs[0]
	}
	for name, c := range map[string]struct {
		damage func(dir string) error
		says   string
	}{
		"database of garbage": {func(dir string) error { return overwrite(database(dir), 0, 1<<16) }, "is damaged"},
		"database emptied":    {func(dir string) error { return os.Truncate(database(dir), 0) }, "is missing or empty"},
		"database cut":        {func(dir string) error { return os.Truncate(database(dir), 9000) }, "damaged"},
		"pages of garbage":    {func(dir string) error { return overwrite(database(dir), 2*4096, 1<<16) }, "damaged"},
		"database gone":       {func(dir string) error { return os.Remove(database(dir)) }, "db is missing or empty"},
		"log of garbage":      {func(dir string) error { return overwrite(log(dir), 0, 4096) }, "the log "},
		"log with a hole":     {func(dir string) error { return overwrite(log(dir), 400, 64) }, "the log "},
		"log gone":            {func(dir string) error { return os.Remove(log(dir)) }, "*.wal is missing or empty"},
		"everything gone":     {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "member")) }, "db is missing or empty"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := used(t)
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), Config{Dir: dir})
			if err == nil {
				got, _ := s.client.KV.Get(t.Context(), "a")
				s.Close()
				t.Fatalf("opened, with %v", got.Kvs)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %q, want it to name %s and say %q", err, dir, c.says)
			}
		})
	}
}

// An entry that the database has and the log has not is one that the log lost.
func TestLogThatEndsTooEarly(t *testing.T) {
	dir := used(t)
	applied, err := inspectDatabase(filepath.Join(dir, "member", "snap", "db"))
	if err != nil || applied == 0 {
		t.Fatalf("applied %d, %v", applied, err)
	}
	log := filepath.Join(dir, "member", "wal")
	if err := inspectLog(log, applied); err != nil {
		t.Errorf("a whole log: %v", err)
	}
	if err := inspectLog(log, applied+1); err == nil || !strings.Contains(err.Error(), "the database has "+strconv.FormatUint(applied+1, 10)) {
		t.Errorf("a log without its last entry: %v", err)
	}
}

func overwrite(file string, from int64, n int) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(bytes.Repeat([]byte("garbage "), n/8), from)
	return errors.Join(err, f.Close())
}

// A first start that was killed before it was ready has left no mark, but may
// have left data.
func TestInterruptedFirstStart(t *testing.T) {
	dir := used(t)
	if err := os.Remove(filepath.Join(dir, initialized)); err != nil {
		t.Fatal(err)
	}
	open(t, Config{Dir: dir})
}

// smallDisk mounts a file system of size bytes and returns a directory on it.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.Itoa(size)); err != nil {
		t.Skipf("mounting a small file system takes privileges that are missing here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestFullDiskAtStart(t *testing.T) {
	_, err := Open(t.Context(), Config{Dir: smallDisk(t, 1<<20)})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want that no space is left", err)
	}
}

func TestFullDiskLater(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: smallDisk(t, 128<<20)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		value := strings.Repeat("x", 1<<20)
		for ctx.Err() == nil {
			s.client.Put(ctx, "a", value) // fails once the disk is full
		}
	}()
	if err := <-s.Failed(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("failed with %v, want that no space is left", err)
	}
	cancel()
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Logf("close: %v", err) // it may well be unable to end as it should
	}
	if took := time.Since(began); took > stopTimeout+time.Second {
		t.Errorf("close took %s", took)
	}
}

func TestExternal(t *testing.T) {
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(make(chan error, 1)))
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()

	s := open(t, Config{Servers: []string{"http://" + server.Clients[0].Addr().String()}})
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	storeAndRead(t, s)
}

func TestExternalThatDoesNotAnswer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	const nobody = "http://127.0.0.1:1"
	if _, err := Open(ctx, Config{Servers: []string{nobody}}); err == nil || !strings.Contains(err.Error(), nobody) {
		t.Errorf("got %v, want an error that names %s", err, nobody)
	}
}

func TestStoreAndRead(t *testing.T) {
	storeAndRead(t, open(t, Config{Dir: t.TempDir()}))
}

// storeAndRead writes a node through the storage that an API server would use,
// and finds it in etcd and in the watch cache.
func storeAndRead(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	o, err := s.GetRESTOptions(schema.GroupResource{Resource: "nodes"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	nodes, destroy, err := o.Decorator(o.StorageConfig, "/"+o.ResourcePrefix,
		func(obj runtime.Object) (string, error) {
			return "/" + o.ResourcePrefix + "/" + obj.(*corev1.Node).Name, nil
		},
		func() runtime.Object { return &corev1.Node{} }, func() runtime.Object { return &corev1.NodeList{} },
		storage.DefaultClusterScopedAttr, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer destroy()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "uid"}}
	var created, got corev1.Node
	if err := nodes.Create(ctx, "/minions/a", node, &created, 0); err != nil {
		t.Fatal(err)
	}
	raw, err := s.client.KV.Get(ctx, "/registry/minions/a")
	if err != nil || len(raw.Kvs) != 1 || !bytes.HasPrefix(raw.Kvs[0].Value, []byte("k8s\x00")) {
		t.Errorf("not in etcd as protobuf: %v, %v", raw, err)
	}
	if err := nodes.Get(ctx, "/minions/a", storage.GetOptions{ResourceVersion: created.ResourceVersion}, &got); err != nil || got.UID != "uid" {
		t.Errorf("get: %v, %v", got, err)
	}
	destroy() // a second call is harmless: subresources share the storage
}

func TestUnknownGroup(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	if _, err := s.GetRESTOptions(schema.GroupResource{Group: "example.org", Resource: "things"}, nil); err == nil {
		t.Error("a form to store a group that does not exist")
	}
}
