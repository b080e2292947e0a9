package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/machine"
)

// ImageGC says when images that nobody uses are removed.
type ImageGC struct {
	// High is how full the file system of the images may get, in per cent, before
	// images are removed until it is Low. 100 keeps them all.
	High, Low int
	// MinAge is how long an image stays at least: somebody has just pulled it.
	MinAge time.Duration
}

// DefaultImageGC is what kubelets have.
var DefaultImageGC = ImageGC{High: 85, Low: 80, MinAge: 2 * time.Minute}

// excess is how many bytes are to be freed on a file system, 0 if it has room.
func (gc ImageGC) excess(fs machine.Filesystem) int64 {
	if gc.High >= 100 || fs.Capacity <= 0 {
		return 0
	}
	available := min(fs.Available, fs.Capacity)
	if used := 100 - int(available*100/fs.Capacity); used < gc.High {
		return 0
	}
	return max(0, fs.Capacity*int64(100-gc.Low)/100-available)
}

// imageRecord is what is remembered of an image.
type imageRecord struct {
	detected time.Time // zero if it was there at the first look
	used     time.Time // zero if never seen in use
}

// album remembers the images that were seen.
type album map[string]imageRecord

// look takes note of the images that are present, and of those in use.
func (a album) look(now time.Time, present []agent.Image, used map[string]bool) album {
	next := album{}
	for _, image := range present {
		record, known := a[image.ID]
		if !known && a != nil {
			record.detected = now
		}
		if inUse(image, used) {
			record.used = now
		}
		next[image.ID] = record
	}
	return next
}

// removable lists the images that may go at a time, the one unused for longest
// first.
func (a album) removable(now time.Time, present []agent.Image, minAge time.Duration) []agent.Image {
	var unused []agent.Image
	for _, image := range present {
		record := a[image.ID]
		if !image.Pinned && !record.used.Equal(now) && now.Sub(record.detected) >= minAge {
			unused = append(unused, image)
		}
	}
	slices.SortFunc(unused, func(one, other agent.Image) int {
		x, y := a[one.ID], a[other.ID]
		return cmp.Or(x.used.Compare(y.used), x.detected.Compare(y.detected), cmp.Compare(one.ID, other.ID))
	})
	return unused
}

// usedImages are all names by which containers call their images. An error says that
// there may be more.
func usedImages(held []agent.Holding) (map[string]bool, error) {
	used := map[string]bool{}
	for _, holding := range held {
		if holding.Err != nil {
			return nil, fmt.Errorf("find out the images that pod %s uses: %w", holding.Pod, holding.Err)
		}
		for _, container := range holding.Containers {
			used[container.ImageID] = true
			used[container.Image] = true
		}
	}
	return used, nil
}

func inUse(image agent.Image, used map[string]bool) bool {
	named := func(name string) bool { return used[name] }
	return used[image.ID] || slices.ContainsFunc(image.Digest, named) || slices.ContainsFunc(image.Tags, named)
}

// collectImages removes images if their file system is too full, or all that
// nobody uses if the disk is under pressure.
func (n *Node) collectImages(ctx context.Context) error {
	present, err := n.Runtime.Images(ctx)
	if err != nil {
		return fmt.Errorf("list the images: %w", err)
	}
	held, err := n.Runtime.Look(ctx)
	if err != nil {
		return fmt.Errorf("list the containers: %w", err)
	}
	used, err := usedImages(held)
	if err != nil {
		return err
	}
	if n.Keep != nil {
		for _, name := range n.Keep() {
			used[name] = true
		}
	}
	now := n.Clock.Now()
	n.album = n.album.look(now, present, used)
	fs, err := n.Filesystem(n.Settings.ImageDir)
	if err != nil {
		return err
	}
	excess := n.Settings.ImageGC.excess(fs)
	if n.diskShort() {
		excess = max(excess, fs.Capacity) // more than there is: all that may go
	}
	if excess == 0 {
		return nil
	}
	freed, err := n.removeImages(ctx, n.album.removable(now, present, n.Settings.ImageGC.MinAge), excess)
	if err == nil && freed < excess && n.Settings.ImageGC.excess(fs) > freed {
		n.tell(event{corev1.EventTypeWarning, "FreeDiskSpaceFailed", fmt.Sprintf(
			"The file system of the images is too full (%d of %d bytes are available), and removing unused images freed only %d bytes: running images, logs, volumes or other files take the space",
			fs.Available, fs.Capacity, freed)})
	}
	return err
}

// removeImages removes images in order until so many bytes are freed, and returns
// how many were.
func (n *Node) removeImages(ctx context.Context, unused []agent.Image, excess int64) (freed int64, err error) {
	for _, image := range unused {
		if freed >= excess {
			break
		}
		if failure := n.Runtime.RemoveImage(ctx, image.ID); failure != nil {
			err = errors.Join(err, fmt.Errorf("remove image %s: %w", image.ID, failure))
			continue
		}
		klog.FromContext(ctx).V(1).Info("Removed an unused image", "image", image.ID, "names", image.Tags, "bytes", image.Size)
		delete(n.album, image.ID)
		freed += image.Size
	}
	return freed, err
}
