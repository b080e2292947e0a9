package store

import (
	"errors"
	"fmt"
	"runtime"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// logger returns a logger for etcd that passes errors on to klog, and the rest
// only when klog is verbose: etcd has much to say when all is well.
//
// When etcd gives up (it would end the process or panic), the reason goes to
// failed, and the goroutine that gave up ends.
func logger(failed chan<- error) *zap.Logger {
	give := giveUp{failed}
	return zap.New(klogCore{}, zap.WithFatalHook(give), zap.WithPanicHook(give))
}

type giveUp struct{ failed chan<- error }

func (g giveUp) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := errors.New(entry.Message)
	if cause := causeOf(fields); cause != nil {
		err = fmt.Errorf("%s: %w", entry.Message, cause)
	}
	select {
	case g.failed <- err:
	default: // an earlier reason explains more than its consequences
	}
	runtime.Goexit()
}

func causeOf(fields []zapcore.Field) error {
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			return err
		}
	}
	return nil
}

// klogCore writes zap's entries to klog.
type klogCore struct{ with []zapcore.Field }

// verbosity is the level of klog at which zap's levels below error appear.
var verbosity = map[zapcore.Level]int{zapcore.WarnLevel: 2, zapcore.InfoLevel: 4, zapcore.DebugLevel: 6}

// harmless is what a new etcd says once, as an error, when it notes its own
// version before it has a term.
const harmless = "failed to update storage version"

func (c klogCore) Enabled(level zapcore.Level) bool {
	return level >= zapcore.ErrorLevel || klog.V(klog.Level(verbosity[level])).Enabled()
}

func (c klogCore) With(fields []zapcore.Field) zapcore.Core {
	return klogCore{append(c.with[:len(c.with):len(c.with)], fields...)}
}

func (c klogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c klogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if entry.Message == harmless && !klog.V(2).Enabled() {
		return nil
	}
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.with[:len(c.with):len(c.with)], fields...) {
		f.AddTo(enc)
	}
	args := make([]any, 0, 2*len(enc.Fields))
	for k, v := range enc.Fields {
		args = append(args, k, v)
	}
	if log := klog.Background().WithName("etcd"); entry.Level >= zapcore.ErrorLevel {
		log.Error(causeOf(fields), entry.Message, args...)
	} else {
		log.V(verbosity[entry.Level]).Info(entry.Message, args...)
	}
	return nil
}

func (klogCore) Sync() error { return nil }
