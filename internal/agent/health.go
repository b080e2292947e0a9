package agent

import (
	"errors"
	"fmt"
	"time"
)

// healthPatience is for how long a part may be stuck before the agent calls itself
// sick, as kubelets have it.
const healthPatience = 5 * time.Minute

// CheckSync returns an error if a pod has not been looked after for long although
// it was its turn.
func (a *Agent) CheckSync() error {
	if took := a.steps.Longest(); took > healthPatience {
		return fmt.Errorf("sync Loop took longer than expected: a step has been under way for %v", took.Truncate(time.Second))
	}
	return nil
}

// CheckRuntime returns an error if it is long ago that the container runtime told
// what it holds. Before Run nothing is asked of it.
func (a *Agent) CheckRuntime() error {
	silent, problem := a.sight.silence()
	if silent <= healthPatience {
		return nil
	}
	if problem == nil {
		problem = errors.New("a request has been under way since")
	}
	return fmt.Errorf("the container runtime has not answered for %v: %w", silent.Truncate(time.Second), problem)
}

// silence is how long ago a look has succeeded, and why the last one has not.
func (s *sight) silence() (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered.IsZero() {
		return 0, nil
	}
	return s.clock.Since(s.answered), s.problem
}
