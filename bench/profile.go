package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"k8s.io/client-go/rest"
)

// profiled is how long a processor profile is taken, in seconds.
const profiled = 15

// profile starts to write a processor profile of what happens next, if profiles
// are wanted. The returned function waits until it is written.
func (f *fleet) profile(ctx context.Context, o options, name string) func() error {
	if o.profiles == "" {
		return func() error { return nil }
	}
	var err error
	var taking sync.WaitGroup
	taking.Go(func() {
		request := f.client.Discovery().RESTClient().Get().AbsPath("/debug/pprof/profile").Param("seconds", strconv.Itoa(profiled))
		err = save(ctx, request, filepath.Join(o.profiles, name+".cpu.pb.gz"))
	})
	return func() error {
		taking.Wait()
		return err
	}
}

// heap writes a heap profile, if profiles are wanted.
func (p *process) heap(ctx context.Context, o options, name string) error {
	if o.profiles == "" {
		return nil
	}
	client, err := p.connect()
	if err != nil {
		return err
	}
	request := client.Discovery().RESTClient().Get().AbsPath("/debug/pprof/heap").Param("gc", "1")
	return save(ctx, request, filepath.Join(o.profiles, name+".heap.pb.gz"))
}

func save(ctx context.Context, request *rest.Request, file string) error {
	data, err := request.DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("take a profile: %w", err)
	}
	return os.WriteFile(file, data, 0o644)
}
