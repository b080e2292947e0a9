package environ

import (
	"fmt"
	"strings"
)

// fromFile finds a variable in the text of an environment file: lines of
// NAME='value', where a value may span lines and has no escapes; comments begin
// with #. As in a shell, NAME= 'value' leaves the variable empty. What follows the
// variable is not looked at.
func fromFile(text, name string) (value string, found bool, err error) {
	invalid := func(line int, what string) error {
		return fmt.Errorf("invalid environment variable format at line %d: %s", line, what)
	}
	for line := 1; text != ""; line++ {
		var current string
		current, text, _ = strings.Cut(text, "\n")
		current = strings.TrimLeft(strings.TrimSuffix(current, "\r"), " \t")
		if current == "" || current[0] == '#' {
			continue
		}
		key, rest, ok := strings.Cut(current, "=")
		switch {
		case !ok:
			return "", false, invalid(line, "missing '='")
		case strings.TrimSpace(key) == "":
			return "", false, invalid(line, "empty variable name")
		case strings.TrimSpace(key) != key:
			return "", false, invalid(line, "whitespace before '=' is not allowed")
		case strings.TrimLeft(rest, " \t") != rest:
			if key == name {
				return "", true, nil
			}
			continue
		case !strings.HasPrefix(rest, "'"):
			return "", false, invalid(line, "value must be enclosed in single quotes")
		}
		began := line
		rest = rest[1:]
		for !strings.Contains(rest, "'") {
			if text == "" {
				return "", false, fmt.Errorf("invalid environment variable format starting at line %d: unclosed single quote", began)
			}
			current, text, _ = strings.Cut(text, "\n")
			rest += "\n" + strings.TrimSuffix(current, "\r")
			line++
		}
		value, after, _ := strings.Cut(rest, "'")
		if after = strings.TrimLeft(after, " \t"); after != "" && after[0] != '#' {
			return "", false, invalid(line, "unexpected content after closing quote")
		}
		if key == name {
			return value, true, nil
		}
	}
	return "", false, nil
}
