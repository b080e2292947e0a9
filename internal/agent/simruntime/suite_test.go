package simruntime_test

import (
	"testing"

	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/runtimetest"
	"github.com/garrison-project/garrison/internal/agent/simruntime"
)

func TestSuite(t *testing.T) {
	runtimetest.Test(t, func(t *testing.T) runtimetest.Env {
		r := simruntime.New(clock.RealClock{})
		r.AddImage("garrison.dev/busybox:1")
		return runtimetest.Env{
			Runtime:   r,
			Reconnect: func() agent.Runtime { return r },
			Image:     "garrison.dev/busybox:1",
			Missing:   "garrison.dev/busybox:non-existent",
			Command:   simruntime.Script.Command,
			Ready:     simruntime.Script{Ends: true}.Command(),
			Logs:      "/logs",
		}
	})
}
