package environ

import (
	"errors"
	"fmt"
	"strings"
)

// fromFile finds a variable in the text of an environment file: lines of
// NAME='value', where a value may span lines and has no escapes; comments begin
// with #. As in a shell, NAME= 'value' leaves the variable empty. What follows the
// variable is not looked at.
func fromFile(text, name string) (value string, found bool, err error) {
	for f := (&envFile{rest: text}); f.rest != ""; {
		line := strings.TrimLeft(f.next(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		began := f.line
		key, value, err := f.assignment(line)
		if errors.Is(err, errUnclosed) {
			return "", false, fmt.Errorf("invalid environment variable format starting at line %d: %w", began, err)
		}
		if err != nil {
			return "", false, fmt.Errorf("invalid environment variable format at line %d: %w", f.line, err)
		}
		if key == name {
			return value, true, nil
		}
	}
	return "", false, nil
}

// envFile is what is left of an environment file; line is the number of the last
// one that was read.
type envFile struct {
	rest string
	line int
}

func (f *envFile) next() string {
	var line string
	line, f.rest, _ = strings.Cut(f.rest, "\n")
	f.line++
	return strings.TrimSuffix(line, "\r")
}

var errUnclosed = errors.New("unclosed single quote")

// assignment reads the assignment that a line begins, and further lines if its
// value has them.
func (f *envFile) assignment(line string) (key, value string, err error) {
	key, rest, ok := strings.Cut(line, "=")
	switch {
	case !ok:
		return "", "", errors.New("missing '='")
	case strings.TrimSpace(key) == "":
		return "", "", errors.New("empty variable name")
	case strings.TrimSpace(key) != key:
		return "", "", errors.New("whitespace before '=' is not allowed")
	case strings.TrimLeft(rest, " \t") != rest:
		return key, "", nil
	case !strings.HasPrefix(rest, "'"):
		return "", "", errors.New("value must be enclosed in single quotes")
	}
	rest = rest[1:]
	for !strings.Contains(rest, "'") {
		if f.rest == "" {
			return "", "", errUnclosed
		}
		rest += "\n" + f.next()
	}
	value, after, _ := strings.Cut(rest, "'")
	if after = strings.TrimLeft(after, " \t"); after != "" && after[0] != '#' {
		return "", "", errors.New("unexpected content after closing quote")
	}
	return key, value, nil
}
