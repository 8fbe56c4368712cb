"""The survey as it is: bricks, file names, coadd planes, quality bits, photometry, catalogues, and a mock of all of it."""
