package server

import (
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/garrison-project/garrison/internal/api"
)

// refuseResizing says to who asks for pods/resize that there is no such thing. It is
// not found, as in clusters that cannot do it, and neither is it in discovery: so
// clients that can do without know what to do.
func refuseResizing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, known := request.RequestInfoFrom(r.Context())
		if !known || !info.IsResourceRequest || info.APIGroup != "" || info.Resource != "pods" || info.Subresource != "resize" {
			next.ServeHTTP(w, r)
			return
		}
		responsewriters.ErrorNegotiated(&apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
			Message: "pods cannot be resized in place here: change the resources in the template that a pod is made from, and it is replaced",
			Details: &metav1.StatusDetails{Name: info.Name, Kind: "pods"},
		}}, api.Codecs, corev1.SchemeGroupVersion, w, r)
	})
}
