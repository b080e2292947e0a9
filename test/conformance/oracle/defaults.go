package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"sigs.k8s.io/yaml"
)

// writeDefaults completes every object of the manifests as upstream does.
func writeDefaults(folder, path string) error {
	bare, err := load(filepath.Join(folder, "bare"))
	if err != nil {
		return err
	}
	full, err := load(filepath.Join(folder, "manifests"))
	if err != nil {
		return err
	}
	var documents bytes.Buffer
	for _, object := range append(bare, full...) {
		data, err := object.MarshalJSON()
		if err != nil {
			return err
		}
		// There and back again: some fields are filled in on the way.
		codec := legacyscheme.Codecs.LegacyCodec(object.GroupVersionKind().GroupVersion())
		decoded, err := runtime.Decode(codec, data)
		if err != nil {
			return fmt.Errorf("decode %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if data, err = runtime.Encode(codec, decoded); err != nil {
			return fmt.Errorf("encode %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		completed, _, err := legacyscheme.Codecs.UniversalDeserializer().Decode(data, nil, nil)
		if err != nil {
			return fmt.Errorf("decode %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if ds, ok := completed.(*appsv1.DaemonSet); ok {
			// A field of the internal type, which the strategy counts.
			delete(ds.Annotations, appsv1.DeprecatedTemplateGeneration)
		}
		text, err := yaml.Marshal(completed)
		if err != nil {
			return err
		}
		documents.WriteString("---\n")
		documents.Write(text)
	}
	return os.WriteFile(path, documents.Bytes(), 0o644)
}
