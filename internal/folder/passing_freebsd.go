package folder

import "golang.org/x/sys/unix"

// passing opens a folder on the way, which need not be readable (O_SEARCH).
const passing = unix.O_SEARCH
