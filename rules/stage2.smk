# Stage 2: motion between the recordings, from their averages.


checkpoint select_center:
    """Choose the recording that defines the common frame; stop where recordings do not belong together."""
    input:
        averages=every("average"),
        damaged=damage_stamp("select_center"),
    output:
        center=session.path("center"),
    log:
        "logs/select_center.log",
    benchmark:
        "benchmarks/select_center.tsv"
    priority: 1  # a recording that does not belong should stop the run before others are aligned
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: resources.comparing_mb(session.recordings, attempt),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        names=session.names,
        labels=[recording.label for recording in session.recordings],
        center=session.center,
        allow_outliers=settings["allow_outlier_recordings"],
        kernel=KERNEL,
    script:
        "../scripts/select_center.py"


# Known from the names, it changes nothing in the graph, which a checkpoint would have Snakemake work out twice.
if session.known_center:
    rules.select_center.rule.is_checkpoint = False


rule align_average:
    """Find the displacement from a recording's average to the center's; zero for the center itself."""
    input:
        average=session.path("average"),
        center=CENTER_AVERAGE,
        damaged=damage_stamp("align_average"),
    output:
        to_reference=session.path("to_reference"),
        matlab=session.path("to_reference_mat"),
    log:
        "logs/align_average/{recording}.log",
    benchmark:
        "benchmarks/align_average/{recording}.tsv"
    group:
        submission("alignment")
    conda:
        FLOW_ENVIRONMENT
    resources:
        **GPU,
        mem_mb=lambda wildcards, attempt: resources.between_mb(recording(wildcards), attempt, gpu=bool(GPU)),
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        options={key: settings[key] for key in BETWEEN},
        kernel=KERNEL,
        backend=backend,
    script:
        "../scripts/align_average.py"
