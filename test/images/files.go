package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// writeFiles writes an image as registries keep it in their repository: manifests
// and blobs under their digests, and the tag as a file that has the digest.
func writeFiles(repository, tag string, image v1.Image) error {
	manifests, blobs := filepath.Join(repository, "manifests"), filepath.Join(repository, "blobs")
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	if err := writeDigest(manifests, digest, manifest); err != nil {
		return err
	}
	configName, err := image.ConfigName()
	if err != nil {
		return err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	if err := writeDigest(blobs, configName, config); err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if err := writeLayer(blobs, layer); err != nil {
			return fmt.Errorf("layer: %w", err)
		}
	}
	return os.WriteFile(filepath.Join(manifests, tag), []byte(digest.String()), 0o644)
}

func writeLayer(blobs string, layer v1.Layer) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	packed, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer packed.Close()
	content, err := io.ReadAll(packed)
	if err != nil {
		return err
	}
	return writeDigest(blobs, digest, content)
}

// writeDigest writes what a digest stands for, for everybody to read.
func writeDigest(dir string, digest v1.Hash, content []byte) error {
	dir = filepath.Join(dir, digest.Algorithm, digest.Hex[:2], digest.Hex)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "data"), content, 0o644)
}
