package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/podstep"
	"github.com/garrison-project/garrison/internal/loop"
	"github.com/garrison-project/garrison/internal/prepull"
)

// Features are what the agent can do beyond what any kubelet can, as the Node says
// it (see package prepull).
const Features = prepull.Feature

const (
	// prepullWorkers is for how many pods images are fetched at once.
	prepullWorkers = 2
	// The pause after a failure doubles from the least to the most, as it does for
	// images of pods that start.
	minPrepullPause = 10 * time.Second
	maxPrepullPause = 5 * time.Minute
)

// prepulls are the images that are fetched for the successors of pods.
type prepulls struct {
	agent *Agent
	loop  *loop.Loop[types.UID]

	mu   sync.Mutex
	pods map[types.UID]attempted
}

// attempted is how the last attempt for a pod ended.
type attempted struct {
	answer prepull.Answer
	pause  time.Duration
	// again is when the next attempt is due; zero if none is.
	again time.Time
}

func newPrepulls(a *Agent) *prepulls {
	f := &prepulls{agent: a, pods: map[types.UID]attempted{}}
	f.loop = loop.New(loop.Options[types.UID]{Name: "images for new pods", Workers: prepullWorkers, Step: f.step, Clock: a.Clock})
	return f
}

// seen takes in a pod of the API.
func (f *prepulls) seen(object *corev1.Pod) {
	if _, asked := prepull.RequestOf(object); asked {
		f.loop.Add(object.UID)
	}
}

// conditions are what is to be reported of a pod.
func (f *prepulls) conditions(uid types.UID) []corev1.PodCondition {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, asked := f.pods[uid]; asked {
		return []corev1.PodCondition{last.answer.Condition()}
	}
	return nil
}

// step fetches the images that one pod's successor needs, if that was asked for and
// has not been done, and has the answer reported.
func (f *prepulls) step(ctx context.Context, uid types.UID) (time.Time, error) {
	object, request, asked := f.request(uid)
	if !asked {
		f.mu.Lock()
		delete(f.pods, uid)
		f.mu.Unlock()
		return time.Time{}, nil
	}
	f.mu.Lock()
	last := f.pods[uid]
	f.mu.Unlock()
	if last.answer.Revision != request.Revision {
		last = attempted{} // of this revision there was none
	}
	if last.answer.Pulled || last.again.After(f.agent.Clock.Now()) {
		return last.again, nil
	}
	last = f.attempt(ctx, object, request, last.pause)
	if ctx.Err() != nil {
		return time.Time{}, nil
	}
	f.mu.Lock()
	f.pods[uid] = last
	f.mu.Unlock()
	f.agent.reports.Add(uid)
	return last.again, nil
}

// request is what is asked for a pod that is to stay until it is done; false if
// nothing is, or if the API has been told already that it is done.
func (f *prepulls) request(uid types.UID) (*corev1.Pod, prepull.Request, bool) {
	p := f.agent.roster.get(uid)
	if p == nil || p.source != fromAPI {
		return nil, prepull.Request{}, false
	}
	object := f.agent.apiObject(p)
	if object == nil || object.DeletionTimestamp != nil || ended(object) {
		return nil, prepull.Request{}, false
	}
	// What was written last may be older than what is asked for now.
	request, asked := prepull.RequestOf(p.current())
	answer, answered := prepull.AnswerOf(object)
	done := answered && answer.Pulled && answer.Revision == request.Revision
	return object, request, asked && !done
}

// attempt tries to fetch all images, after a pause of so long: zero if none has
// failed yet.
func (f *prepulls) attempt(ctx context.Context, object *corev1.Pod, request prepull.Request, pause time.Duration) attempted {
	var failures []error
	var names []string
	reason := ""
	for _, image := range request.Images {
		names = append(names, image.Name)
		if err := f.fetch(ctx, object, image); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", image.Name, err))
			reason = reasonOf(podstep.PullImage, err)
		}
	}
	answer := prepull.Answer{Revision: request.Revision}
	if len(failures) == 0 {
		answer.Pulled, answer.Reason = true, prepull.ReasonPulled
		answer.Message = "present on the node: " + strings.Join(names, ", ")
		return attempted{answer: answer}
	}
	if pause > 0 && reason == prepull.ReasonErrImagePull {
		reason = prepull.ReasonImagePullBackOff
	}
	answer.Reason, answer.Message = reason, errors.Join(failures...).Error()
	pause = min(max(2*pause, minPrepullPause), maxPrepullPause)
	return attempted{answer: answer, pause: pause, again: f.agent.Clock.Now().Add(pause)}
}

// fetch makes sure that the machine has an image, with the credentials of the pod.
func (f *prepulls) fetch(ctx context.Context, object *corev1.Pod, image prepull.Image) error {
	a := f.agent
	if image.Policy != corev1.PullAlways {
		if id, err := a.Runtime.ImageID(ctx, image.Name); err != nil || id != "" {
			return err
		}
	}
	_, err := a.Runtime.PullImage(ctx, Pull{Image: image.Name, Pod: object, Credentials: a.credentials(ctx, object, image.Name)})
	return err
}
