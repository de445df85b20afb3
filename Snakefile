"""flowsession: motion-correct a whole two-photon session. `snakemake --list` tells what the rules do."""

from snakemake.utils import min_version

min_version("9.0")


# A file given with --configfile stands alone: the project's own settings are not mixed into it.
if not workflow.overwrite_configfiles:

    configfile: "config/session.yaml"


include: "rules/common.smk"
include: "rules/cluster.smk"
include: "rules/external.smk" if session.external else "rules/stage1.smk"
include: "rules/stage2.smk"
include: "rules/stage3.smk"
include: "rules/summary.smk"
include: "rules/export.smk"


report: "rules/captions/workflow.rst"


rule all:
    """Everything: compensated movies, displacements, masks, aligned movies and the summary."""
    default_target: True
    input:
        missing,
        [session.path(kind) for kind in SESSION_RESULTS],


rule inspect:
    """A table of the recordings: what their files hold, and what will be used; computes nothing."""
    input:
        [],  # the table is there before rules are: see common.smk


rule stage1:
    """Motion within the recordings only: compensated movies, their averages and masks."""
    input:
        every("average"),


rule stage2:
    """Stage 1, and the displacement of every recording into the common frame."""
    input:
        every("to_reference"),
