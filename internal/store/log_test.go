package store

import (
	"errors"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestGivingUpReportsTheFirstReason(t *testing.T) {
	failed := make(chan error, 1)
	log := logger(failed)
	cause := errors.New("no space left")
	for _, giveUp := range []func(){
		func() { log.Fatal("failed to save", zap.Error(cause)) },
		func() { log.Panic("failed because of that") },
	} {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			giveUp()
			t.Error("the goroutine that gave up goes on")
		}()
		<-ended
	}
	err := <-failed
	if !errors.Is(err, cause) || err.Error() != "failed to save: no space left" {
		t.Errorf("got %v", err)
	}
}

func TestQuietWhenAllIsWell(t *testing.T) {
	core := klogCore{}
	for level, want := range map[zapcore.Level]bool{
		zapcore.DebugLevel: false, zapcore.InfoLevel: false, zapcore.WarnLevel: false,
		zapcore.ErrorLevel: true, zapcore.FatalLevel: true,
	} {
		if got := core.Enabled(level); got != want {
			t.Errorf("%s is written: %t", level, got)
		}
	}
}
