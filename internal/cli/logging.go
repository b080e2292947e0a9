package cli

import (
	"flag"
	"fmt"
	"strconv"

	"k8s.io/klog/v2"
)

// setUpLogging sets the log on standard error. At verbosity 0 it has only
// warnings and errors, so that a log with anything in it is worth reading.
func setUpLogging(verbosity int) error {
	threshold := "INFO"
	if verbosity == 0 {
		threshold = "WARNING"
	}
	flags := flag.NewFlagSet("log", flag.ContinueOnError)
	klog.InitFlags(flags)
	for _, setting := range []struct{ name, value string }{
		{"v", strconv.Itoa(verbosity)},
		{"legacy_stderr_threshold_behavior", "false"}, // with it the threshold is ignored
		{"stderrthreshold", threshold},
	} {
		if err := flags.Set(setting.name, setting.value); err != nil {
			return fmt.Errorf("set up the log: --%s=%s: %w", setting.name, setting.value, err)
		}
	}
	return nil
}
