package client

import (
	"context"
	"io"
	"net/http"
)

// Export writes everything visible in the namespace to w, as lines of operations, sorted, at one
// state: equal data are equal bytes. On an error w may have received the beginning.
func (ns *Namespace) Export(ctx context.Context, w io.Writer, opts ...Option) error {
	_, err := ns.c.Stream(ctx, ns.request(opts, http.MethodGet, "export"), w)
	return err
}
