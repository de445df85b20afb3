import os

# Our HDF5 files are complete before they appear, so nobody needs to lock them; on network file systems without locks
# HDF5 could not even read them. It looks at this when h5py is imported.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
