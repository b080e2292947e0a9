package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/machine"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

func TestExcess(t *testing.T) {
	for _, c := range []struct {
		available int64 // of 1000
		gc        ImageGC
		want      int64
	}{
		{160, DefaultImageGC, 0}, // 84 % in use
		{150, DefaultImageGC, 50},
		{0, DefaultImageGC, 200},
		{2000, DefaultImageGC, 0}, // such file systems exist
		{0, ImageGC{High: 100, Low: 80}, 0},
	} {
		if got := c.gc.excess(machine.Filesystem{Capacity: 1000, Available: c.available}); got != c.want {
			t.Errorf("%d available, %+v: %d too much, want %d", c.available, c.gc, got, c.want)
		}
	}
	if got := DefaultImageGC.excess(machine.Filesystem{}); got != 0 {
		t.Errorf("a file system without capacity has %d too much", got)
	}
}

func image(id string) agent.Image {
	return agent.Image{ID: id, Tags: []string{id + ":v1"}, Digest: []string{id + "@sha256:" + id}, Size: 10}
}

func TestRemovableImages(t *testing.T) {
	pinned := image("pinned")
	pinned.Pinned = true
	present := []agent.Image{image("old"), image("by-tag"), image("by-digest"), image("by-id"), pinned, image("older")}
	held := []agent.Holding{{Containers: []agent.ContainerRecord{
		{Image: "by-tag:v1"}, {ImageID: "by-digest@sha256:by-digest"}, {ImageID: "by-id"},
		{Image: "older:v1", Record: podstep.Record{State: podstep.Exited}},
	}}}
	used, err := usedImages(held)
	if err != nil {
		t.Fatal(err)
	}

	var a album
	a = a.look(start, present, used)
	if got := ids(a.removable(start, present, time.Minute)); got != "old" {
		t.Errorf("at first: %s", got)
	}
	// An hour later only one is in use, and a new one has come.
	later := start.Add(time.Hour)
	present = append(present, image("new"))
	used, err = usedImages([]agent.Holding{{Containers: []agent.ContainerRecord{{ImageID: "by-id"}}}})
	if err != nil {
		t.Fatal(err)
	}
	a = a.look(later, present, used)
	if got := ids(a.removable(later, present, time.Minute)); got != "old by-digest by-tag older" {
		t.Errorf("later: %s", got)
	}
	if got := ids(a.removable(later, present, 0)); got != "old new by-digest by-tag older" {
		t.Errorf("without an age: %s", got)
	}
	if a = a.look(later, present[:1], used); len(a) != 1 {
		t.Errorf("remembers %d images of 1", len(a))
	}
}

// An image is not removed while it may be that of a container which cannot be seen.
func TestUnseenContainersKeepImages(t *testing.T) {
	unseen := []agent.Holding{{Err: errors.New("no end is in sight")}}
	if _, err := usedImages(unseen); err == nil {
		t.Error("all images seem to be known that are in use")
	}
}

func ids(images []agent.Image) string {
	var all []string
	for _, i := range images {
		all = append(all, i.ID)
	}
	return strings.Join(all, " ")
}
