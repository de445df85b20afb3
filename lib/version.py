"""The version of the method's results, here because reading it must not import the method.

Every rule that runs the method passes it as a parameter: raise it whenever a change alters results, and Snakemake
redoes what depends on them.
"""

KERNEL = "9"

# Of what is remembered about the recordings' headers: raise it when readers tell more, and they are read again.
HEADERS = 2
