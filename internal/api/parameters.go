package api

import (
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// Options of connections come as query parameters. Unlike those that every kind
// has, they have no generated conversion outside of Kubernetes itself.
func addParameterConversions(s *runtime.Scheme) error {
	for _, err := range []error{
		readParameters(s, func(q query, o *corev1.PodLogOptions) {
			read(q, "container", &o.Container, runtime.Convert_Slice_string_To_string)
			read(q, "follow", &o.Follow, runtime.Convert_Slice_string_To_bool)
			read(q, "previous", &o.Previous, runtime.Convert_Slice_string_To_bool)
			read(q, "sinceSeconds", &o.SinceSeconds, runtime.Convert_Slice_string_To_Pointer_int64)
			read(q, "sinceTime", &o.SinceTime, metav1.Convert_Slice_string_To_Pointer_v1_Time)
			read(q, "timestamps", &o.Timestamps, runtime.Convert_Slice_string_To_bool)
			read(q, "tailLines", &o.TailLines, runtime.Convert_Slice_string_To_Pointer_int64)
			read(q, "limitBytes", &o.LimitBytes, runtime.Convert_Slice_string_To_Pointer_int64)
			read(q, "insecureSkipTLSVerifyBackend", &o.InsecureSkipTLSVerifyBackend, runtime.Convert_Slice_string_To_bool)
			read(q, "stream", &o.Stream, func(in *[]string, out **string, _ conversion.Scope) error {
				*out = &(*in)[0]
				return nil
			})
		}),
		readParameters(s, func(q query, o *corev1.PodExecOptions) {
			readStreams(q, streamOptions{&o.Stdin, &o.Stdout, &o.Stderr, &o.TTY, &o.Container})
			o.Command = q.values["command"]
		}),
		readParameters(s, func(q query, o *corev1.PodAttachOptions) {
			readStreams(q, streamOptions{&o.Stdin, &o.Stdout, &o.Stderr, &o.TTY, &o.Container})
		}),
		readParameters(s, func(q query, o *corev1.PodPortForwardOptions) {
			read(q, "ports", &o.Ports, metav1.Convert_Slice_string_To_Slice_int32)
		}),
		readParameters(s, func(q query, o *corev1.PodProxyOptions) {
			read(q, "path", &o.Path, runtime.Convert_Slice_string_To_string)
		}),
		readParameters(s, func(q query, o *corev1.NodeProxyOptions) {
			read(q, "path", &o.Path, runtime.Convert_Slice_string_To_string)
		}),
	} {
		if err != nil {
			return fmt.Errorf("register conversions of parameters: %w", err)
		}
	}
	return nil
}

// query is the query of one request.
type query struct {
	values url.Values
	scope  conversion.Scope
	err    *error // the first that came up
}

// readParameters registers how the options T are read from a query.
func readParameters[T any](s *runtime.Scheme, fill func(query, *T)) error {
	return s.AddConversionFunc((*url.Values)(nil), (*T)(nil), func(in, out any, scope conversion.Scope) (err error) {
		fill(query{*in.(*url.Values), scope, &err}, out.(*T))
		return err
	})
}

// read reads a parameter, if it is there.
func read[T any](q query, name string, out *T, convert func(*[]string, *T, conversion.Scope) error) {
	values := q.values[name]
	if len(values) == 0 || *q.err != nil {
		return
	}
	if err := convert(&values, out, q.scope); err != nil {
		*q.err = fmt.Errorf("parameter %s: %w", name, err)
	}
}

// streamOptions are what exec and attach have in common.
type streamOptions struct {
	stdin, stdout, stderr, tty *bool
	container                  *string
}

func readStreams(q query, o streamOptions) {
	read(q, "stdin", o.stdin, runtime.Convert_Slice_string_To_bool)
	read(q, "stdout", o.stdout, runtime.Convert_Slice_string_To_bool)
	read(q, "stderr", o.stderr, runtime.Convert_Slice_string_To_bool)
	read(q, "tty", o.tty, runtime.Convert_Slice_string_To_bool)
	read(q, "container", o.container, runtime.Convert_Slice_string_To_string)
}
