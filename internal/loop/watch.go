package loop

import (
	"context"
	"time"
)

// unwatchTimeout is how long the end of an informer is waited for.
const unwatchTimeout = time.Second

// Informer is what Watch needs of one of client-go.
type Informer interface{ RunWithContext(ctx context.Context) }

// Watch runs an informer until ctx is done. The end of one that pauses because the
// API server is away is not waited for: client-go looks at the context only after
// the pause, which may take half a minute.
func Watch(ctx context.Context, informer Informer) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		informer.RunWithContext(ctx)
	}()
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	select {
	case <-ended:
	case <-time.After(unwatchTimeout):
	}
}
