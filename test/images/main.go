// Command images makes a container image on the spot, so that tests and the demo
// run real containers without a registry: a static busybox with all its applets,
// under the names given, written as an archive for DATA-DIR/images.
//
//	go run ./test/images -o DATA-DIR/images/busybox.tar busybox:1.36 fluentd:v1.16
//
// With -add more files are put in; the conformance suite adds its own. With -files
// the image is written as the files that a registry serves.
package main

import (
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// options are the flags.
type options struct {
	output, files    string
	busybox          string
	entrypoint, user string
	command          string
	add              pairs
}

// pairs are files to add, as SOURCE:PATH.
type pairs []string

func (p *pairs) String() string { return strings.Join(*p, ",") }

// added are the files to add, by their path in the image, without a leading slash.
func (o options) added() map[string]string {
	files := map[string]string{}
	for _, pair := range o.add {
		source, target, _ := strings.Cut(pair, ":")
		files[strings.TrimPrefix(path.Clean(target), "/")] = source
	}
	return files
}

// Set takes one more.
func (p *pairs) Set(value string) error {
	if source, path, ok := strings.Cut(value, ":"); !ok || source == "" || !filepath.IsAbs(path) {
		return fmt.Errorf("want SOURCE:PATH with an absolute PATH, not %q", value)
	}
	*p = append(*p, value)
	return nil
}

func main() {
	var o options
	flag.StringVar(&o.output, "o", "", "archive to write")
	flag.StringVar(&o.files, "files", "", "folder to write manifests and blobs to, below each image's repository")
	flag.StringVar(&o.busybox, "busybox", "/bin/busybox", "static busybox to make it of")
	flag.StringVar(&o.entrypoint, "entrypoint", "", "entrypoint, its words separated by spaces (default none; the command is sh)")
	flag.StringVar(&o.command, "command", "", "default arguments of the entrypoint, separated by spaces (default none; without an entrypoint sh)")
	flag.StringVar(&o.user, "user", "", "user that containers run as (default root)")
	flag.Var(&o.add, "add", "file or folder to add with its mode, as SOURCE:PATH; may be repeated")
	flag.Parse()
	if o.output == "" && o.files == "" || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: images {-o ARCHIVE | -files FOLDER} [flags] NAME...")
		os.Exit(2)
	}
	if err := run(o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(o options, names []string) error {
	image, err := build(o)
	if err != nil {
		return err
	}
	tagged := map[name.Tag]v1.Image{}
	for _, n := range names {
		tag, err := name.NewTag(n)
		if err != nil {
			return err
		}
		tagged[tag] = image
		if o.files != "" {
			if err := writeFiles(filepath.Join(o.files, tag.RepositoryStr()), tag.TagStr(), image); err != nil {
				return fmt.Errorf("write the files of %s: %w", tag, err)
			}
		}
	}
	if o.output == "" {
		return nil
	}
	// Whoever watches the folder must not see half an archive.
	part := filepath.Join(filepath.Dir(o.output), "."+filepath.Base(o.output)+".part")
	if err := tarball.MultiWriteToFile(part, tagged); err != nil {
		return fmt.Errorf("write %s: %w", part, err)
	}
	return os.Rename(part, o.output)
}

// build makes the image.
func build(o options) (v1.Image, error) {
	layer, err := rootLayer(o)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Cmd:        strings.Fields(o.command),
		Entrypoint: strings.Fields(o.entrypoint),
		User:       o.user,
	}
	if o.entrypoint == "" && o.command == "" {
		file.Config.Cmd = []string{"sh"}
	}
	return mutate.ConfigFile(image, file)
}
