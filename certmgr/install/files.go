package install

// anyFiles is a server that nobody knows: its files are all named, and it is not
// known how it is told.
var anyFiles = server{
	files: func(bool) map[Role]File { return map[Role]File{} },
	dh:    false,
	arrange: func(l *Layout, _ string, c Choices) error {
		if f, ok := l.Files[CA]; ok {
			f.Public = c.Public
			l.Files[CA] = f
		}
		return nil
	},
}
