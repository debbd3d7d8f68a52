// Package keep holds the module's dependencies until the packages that use them land.
package keep

import (
	_ "github.com/BurntSushi/toml"
	_ "github.com/emersion/go-message"
	_ "github.com/emersion/go-message/mail"
	_ "github.com/emersion/go-message/textproto"
	_ "github.com/emersion/go-milter"
	_ "github.com/emersion/go-smtp"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/youmark/pkcs8"
	_ "go.mozilla.org/pkcs7"
	_ "go.uber.org/goleak"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/net/idna"
	_ "golang.org/x/text/unicode/norm"
	_ "golang.org/x/crypto/cryptobyte"
	_ "pgregory.net/rapid"
	_ "software.sslmate.com/src/go-pkcs12"
)
