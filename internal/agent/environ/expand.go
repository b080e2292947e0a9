package environ

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// lookup finds the value of a variable.
type lookup func(name string) (value string, found bool)

// expand replaces each $(NAME) that lookup finds, and each $$ by a dollar. What it
// does not find, and what is no reference at all, stays as it is.
func expand(s string, find lookup) string {
	var out strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:i])
		text, width := expandOne(s[i:], find)
		out.WriteString(text)
		s = s[i+width:]
	}
}

// expandOne expands the dollar that s begins with, and tells how many bytes of s
// that took.
func expandOne(s string, find lookup) (text string, width int) {
	switch s[1] {
	case '$':
		return "$", 2
	case '(':
		end := strings.IndexByte(s, ')')
		if end < 0 {
			return "$(", 2
		}
		if value, found := find(s[2:end]); found {
			return value, end + 1
		}
		return s[:end+1], end + 1
	}
	return "$", 1
}

// Command gives the command and the arguments of a container with the variables
// of its environment expanded.
func Command(container *corev1.Container, env []agent.EnvVar) (command, args []string) {
	find := among(env)
	each := func(words []string) []string {
		var out []string
		for _, word := range words {
			out = append(out, expand(word, find))
		}
		return out
	}
	return each(container.Command), each(container.Args)
}

// SubPath gives the path inside the volume that a mount wants, with the variables
// of subPathExpr expanded. A variable that is not there, or is empty, is an error:
// the mount would show more of the volume than was meant.
func SubPath(mount *corev1.VolumeMount, env []agent.EnvVar) (string, error) {
	if mount.SubPathExpr == "" {
		return mount.SubPath, nil
	}
	var missing []string
	find := among(env)
	path := expand(mount.SubPathExpr, func(name string) (string, bool) {
		value, _ := find(name)
		if value == "" {
			missing = append(missing, name)
		}
		return value, true
	})
	if len(missing) > 0 {
		slices.Sort(missing)
		return "", fmt.Errorf("missing value for %s", strings.Join(slices.Compact(missing), ", "))
	}
	return path, nil
}

func among(env []agent.EnvVar) lookup {
	values := make(map[string]string, len(env))
	for _, v := range env {
		values[v.Name] = v.Value
	}
	return func(name string) (string, bool) {
		value, found := values[name]
		return value, found
	}
}
