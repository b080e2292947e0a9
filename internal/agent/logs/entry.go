package logs

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"time"
)

// entry is one line of a file, such as
//
//	2016-10-06T00:17:09.669794202Z stdout F the text
//
// Long lines of a container are in several entries, of which all but the last are
// partial.
type entry struct {
	at      []byte
	stream  string
	partial bool
	text    []byte // with its newline, unless partial
}

// parse reads an entry. It shares its bytes with line.
func parse(line []byte) (entry, bool) {
	at, rest, ok := bytes.Cut(line, space)
	if !ok {
		return entry{}, false
	}
	stream, rest, ok := bytes.Cut(rest, space)
	if !ok {
		return entry{}, false
	}
	tags, text, ok := bytes.Cut(rest, space)
	if !ok || len(tags) == 0 {
		return entry{}, false
	}
	first, _, _ := strings.Cut(string(tags), ":") // more may be added to it
	e := entry{at: at, stream: string(stream), partial: first == "P", text: text}
	if e.partial {
		e.text = bytes.TrimSuffix(text, newline)
	}
	return e, e.stream == Stdout || e.stream == Stderr
}

var (
	space   = []byte{' '}
	newline = []byte{'\n'}
)

// time is when the entry was written.
func (e entry) time() (time.Time, error) { return time.Parse(time.RFC3339Nano, string(e.at)) }

// countLines counts the lines that a container has written. One that is not
// complete counts too.
func countLines(r io.Reader) (int64, error) {
	lines, open := int64(0), false
	buffered := bufio.NewReaderSize(r, bufferSize)
	for {
		line, err := buffered.ReadBytes('\n')
		if e, ok := parse(line); ok {
			if open = e.partial; !open {
				lines++
			}
		}
		switch {
		case err == io.EOF && open:
			return lines + 1, nil
		case err == io.EOF:
			return lines, nil
		case err != nil:
			return 0, err
		}
	}
}
