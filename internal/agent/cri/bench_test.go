package cri_test

import "testing"

// BenchmarkLook looks at 20 pods.
func BenchmarkLook(b *testing.B) {
	l := newLab(b)
	for range 20 {
		box := l.open(b, ``)
		box.start(box.config(0))
	}
	b.ResetTimer()
	for b.Loop() {
		if held, err := l.Look(b.Context()); err != nil || len(held) != 20 {
			b.Fatalf("%d pods (%v)", len(held), err)
		}
	}
}

// BenchmarkPod starts pods of one container, one after the other.
func BenchmarkPod(b *testing.B) {
	l := newLab(b)
	for b.Loop() {
		box := l.open(b, ``)
		box.start(box.config(0))
	}
}
