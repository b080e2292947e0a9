// Package iptables keeps chains of an agent's own in the kernel's packet filter,
// beside those of everybody else: it fills them, has them called, repairs both
// when others have flushed the tables, and takes them away.
//
// It leaves what is in the chains to who needs them.
package iptables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Chain is one chain of ours. The kernel knows it by table and name.
type Chain struct {
	Table string // nat or filter
	Name  string // at most 28 characters
	// Rules are its contents, each as after "-A NAME".
	Rules []string
	// Hooks are chains of the kernel that call it, ahead of their other rules.
	Hooks []Hook
}

// Hook is a call from a chain of the kernel, such as FORWARD, for packets that
// come in by an interface; empty for all.
type Hook struct{ From, In string }

// Tables are those of one address family.
type Tables struct {
	// Program is iptables or ip6tables, by name or path; its companion for many
	// rules at once, iptables-restore, is of the same name.
	Program string
}

// wait is how long the programs wait for each other, in seconds.
const wait = "5"

// Ensure makes the chains be there with just their rules, and be called. It may
// be repeated, and changes nothing that is as it should be but counters.
func (t Tables) Ensure(ctx context.Context, chains ...Chain) error {
	if err := t.fill(ctx, chains); err != nil {
		return err
	}
	for _, chain := range chains {
		for _, hook := range chain.Hooks {
			if t.run(ctx, chain.call("-C", hook)) == nil {
				continue
			}
			if err := t.run(ctx, chain.call("-I", hook)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove takes the chains away. What is not there is passed over.
func (t Tables) Remove(ctx context.Context, chains ...Chain) error {
	var errs []error
	for _, chain := range chains {
		if t.run(ctx, []string{"-t", chain.Table, "-n", "-L", chain.Name}) != nil {
			continue // nor can it be called
		}
		for _, hook := range chain.Hooks {
			for t.run(ctx, chain.call("-C", hook)) == nil {
				if err := t.run(ctx, chain.call("-D", hook)); err != nil {
					return errors.Join(append(errs, err)...)
				}
			}
		}
		for _, verb := range []string{"-F", "-X"} {
			errs = append(errs, t.run(ctx, []string{"-t", chain.Table, verb, chain.Name}))
		}
	}
	return errors.Join(errs...)
}

// call is how a hook is checked, inserted or deleted.
func (c Chain) call(verb string, hook Hook) []string {
	args := []string{"-t", c.Table, verb, hook.From}
	if hook.In != "" {
		args = append(args, "-i", hook.In)
	}
	return append(args, "-j", c.Name)
}

// fill replaces the contents of the chains, each table at once, so that no packet
// meets half of them.
func (t Tables) fill(ctx context.Context, chains []Chain) error {
	var input strings.Builder
	for _, chain := range chains {
		fmt.Fprintf(&input, "*%s\n:%s - [0:0]\n", chain.Table, chain.Name)
		for _, rule := range chain.Rules {
			fmt.Fprintf(&input, "-A %s %s\n", chain.Name, rule)
		}
		input.WriteString("COMMIT\n")
	}
	command := exec.CommandContext(ctx, t.Program+"-restore", "-w", wait, "--noflush")
	command.Stdin = strings.NewReader(input.String())
	return said(command)
}

func (t Tables) run(ctx context.Context, args []string) error {
	return said(exec.CommandContext(ctx, t.Program, append([]string{"-w", wait}, args...)...))
}

// said runs a command, and adds to its error what it said.
func said(command *exec.Cmd) error {
	var out bytes.Buffer
	command.Stderr = &out
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(command.Path), strings.Join(command.Args[1:], " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
