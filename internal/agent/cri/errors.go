package cri

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/garrison-project/garrison/internal/agent"
)

// The reasons of failures, as Kubernetes names them.
const (
	reasonSandbox             = "FailedCreatePodSandBox"
	reasonConfig              = "CreateContainerConfigError"
	reasonCreate              = "CreateContainerError"
	reasonRun                 = "RunContainerError"
	reasonPull                = "ErrImagePull"
	reasonInspect             = "ImageInspectError"
	reasonInvalidImage        = "InvalidImageName"
	reasonRegistryUnavailable = "RegistryUnavailable"
	reasonSignature           = "SignatureValidationFailed"
)

// remoteError is an error of the runtime with the text alone, as people see it;
// its code is found through errors.As and status.FromError.
type remoteError struct{ err error }

func (e remoteError) Error() string { return status.Convert(e.err).Message() }

// Unwrap gives the error that grpc returned.
func (e remoteError) Unwrap() error { return e.err }

// plain leaves grpc's prefix out of an error's text, and gives the context's own
// errors for those that grpc made of them.
func plain(err error) error {
	if err == nil {
		return nil
	}
	switch status.Code(err) {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return errors.Join(context.DeadlineExceeded, remoteError{err})
	}
	return remoteError{err}
}

// failure gives an error of the runtime with a reason.
func failure(reason string, err error) error {
	return &agent.Failure{Reason: reason, Err: plain(err)}
}

func isNotFound(err error) bool { return status.Code(err) == codes.NotFound }

// isUnsupported tells whether the runtime does not know a call. Some answer with
// another code and say so in words.
func isUnsupported(err error) bool {
	return status.Code(err) == codes.Unimplemented ||
		status.Code(err) == codes.Unknown && strings.Contains(status.Convert(err).Message(), "not implemented")
}
