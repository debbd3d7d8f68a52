package install

// Sums are the SHA-256 sums, in hexadecimal, of what was last installed for a
// target, by path: whatever else is in a file is somebody else's.
func (j *Journal) Sums(name string) (map[string]string, error) { return j.sums(name) }
