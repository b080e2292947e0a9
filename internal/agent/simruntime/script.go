package simruntime

import (
	"flag"
	"fmt"
	"io"
	"time"
)

// Simulate is the name of the program that containers and hooks are scripted with.
const Simulate = "simulate"

// Script is what a process does. The zero Script runs for ever, and ends with
// code 0 as soon as it is asked to stop.
type Script struct {
	// Ends tells that the process ends by itself, After it was started.
	Ends     bool
	After    time.Duration
	ExitCode int32
	// IgnoreTerm is of a process that only ends when it is killed. Others take
	// TermDelay to stop, and end with TermCode.
	IgnoreTerm bool
	TermDelay  time.Duration
	TermCode   int32
	// Message is the termination message, Output what is written (of commands
	// run by Exec), Reason the runtime's, such as OOMKilled.
	Message, Output, Reason string
	// StartError keeps the process from being started.
	StartError string
}

// Command is a command that does what the script says: simulate and flags.
// --exit-code or --after make it end.
func (s Script) Command() []string {
	c := []string{Simulate}
	if s.Ends {
		c = append(c, fmt.Sprintf("--exit-code=%d", s.ExitCode), "--after="+s.After.String())
	}
	if s.IgnoreTerm {
		c = append(c, "--ignore-term")
	}
	for _, option := range []struct{ name, value, zero string }{
		{"term-delay", s.TermDelay.String(), "0s"},
		{"term-code", fmt.Sprint(s.TermCode), "0"},
		{"message", s.Message, ""},
		{"output", s.Output, ""},
		{"reason", s.Reason, ""},
		{"start-error", s.StartError, ""},
	} {
		if option.value != option.zero {
			c = append(c, "--"+option.name+"="+option.value)
		}
	}
	return c
}

// parse reads a command. Programs other than simulate do what the given script
// says.
func parse(command []string, other Script) (Script, error) {
	if len(command) == 0 || command[0] != Simulate {
		return other, nil
	}
	var s Script
	flags := flag.NewFlagSet(Simulate, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	code := flags.Int("exit-code", 0, "")
	termCode := flags.Int("term-code", 0, "")
	flags.DurationVar(&s.After, "after", 0, "")
	flags.BoolVar(&s.IgnoreTerm, "ignore-term", false, "")
	flags.DurationVar(&s.TermDelay, "term-delay", 0, "")
	flags.StringVar(&s.Message, "message", "", "")
	flags.StringVar(&s.Output, "output", "", "")
	flags.StringVar(&s.Reason, "reason", "", "")
	flags.StringVar(&s.StartError, "start-error", "", "")
	if err := flags.Parse(command[1:]); err != nil {
		return Script{}, fmt.Errorf("read %q: %w", command, err)
	}
	flags.Visit(func(f *flag.Flag) {
		s.Ends = s.Ends || f.Name == "exit-code" || f.Name == "after"
	})
	s.ExitCode, s.TermCode = int32(*code), int32(*termCode)
	return s, nil
}
