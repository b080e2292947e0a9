package serving

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// CertificateFile gives the certificate and key in a file, as it is now: it may be
// renewed.
func CertificateFile(file string) func() (*tls.Certificate, error) {
	var mu sync.Mutex
	var last *tls.Certificate
	var read time.Time
	return func() (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		info, err := os.Stat(file)
		if err == nil && last != nil && info.ModTime().Equal(read) {
			return last, nil
		}
		certificate, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			return nil, fmt.Errorf("read the certificate of the agent: %w", err)
		}
		last, read = &certificate, info.ModTime()
		return last, nil
	}
}
