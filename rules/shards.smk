# Long recordings: several jobs compensate a span of frames each, and compensate_recording puts them together.


rule prepare_recording:
    """Make the reference and the calibration of a recording that is compensated in shards."""
    input:
        recording=lambda wildcards: recording(wildcards).path,
        reference=session.reference_image or [],
    output:
        prepared=temp(session.path("prepared")),
    log:
        "logs/prepare_recording/{recording}.log",
    benchmark:
        "benchmarks/prepare_recording/{recording}.tsv"
    conda:
        FLOW_ENVIRONMENT
    threads: threads
    resources:
        **GPU,
        mem_mb=lambda wildcards, threads, attempt: resources.compensation_mb(
            recording(wildcards), threads, batch(wildcards), attempt, options=options, gpu=bool(GPU)
        ),
        runtime=lambda wildcards, threads, attempt: resources.compensation_minutes(
            shard(wildcards), threads, options["quality_setting"], attempt
        ),
    params:
        **STAGE1,
        keep=KEPT,
        backend=backend,
    script:
        "../scripts/prepare_recording.py"


rule compensate_shard:
    """Register a span of the frames of a recording; goes on where a killed job stopped."""
    input:
        recording=lambda wildcards: recording(wildcards).path,
        prepared=session.path("prepared"),
    output:
        frames=temp(session.path("shard", first="{first}", stop="{stop}")),
    log:
        "logs/compensate_shard/{recording}/{first}-{stop}.log",
    benchmark:
        "benchmarks/compensate_shard/{recording}/{first}-{stop}.tsv"
    wildcard_constraints:
        first=r"\d+",
        stop=r"\d+",
    conda:
        FLOW_ENVIRONMENT
    threads: threads
    resources:
        **GPU,
        mem_mb=lambda wildcards, threads, attempt: resources.compensation_mb(
            recording(wildcards), threads, batch(wildcards), attempt, options=options, gpu=bool(GPU)
        ),
        runtime=lambda wildcards, threads, attempt: resources.compensation_minutes(
            shard(wildcards), threads, options["quality_setting"], attempt
        ),
    params:
        **STAGE1,
        keep=KEPT,
        backend=backend,
        batch=batch,
    script:
        "../scripts/compensate_shard.py"
