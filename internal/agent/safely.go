package agent

import (
	"context"
	"fmt"
	"runtime/debug"

	"k8s.io/klog/v2"
)

// safely makes an error of a panic: what is wrong with one thing must not end the
// agent of all others.
func safely(ctx context.Context, do func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
			klog.FromContext(ctx).Error(err, "Something panicked", "stack", string(debug.Stack()))
		}
	}()
	return do()
}
